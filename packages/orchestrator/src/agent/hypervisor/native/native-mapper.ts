// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:os';
import type { BalloonFacts, BalloonSettings } from '../../../common/balloon.js';
import { trafficOf } from '../../../common/interface-traffic.js';
import { diskTuning } from '../../../host-agent/disk-tuning.js';
import { isWatchdogAction } from '../../../common/watchdog.js';
import type { ExitReason, MachineAlarm, MachineExitFacts } from '../../../host-agent/host-agent.js';
import type { HypervisorSpec } from '../hypervisor.js';
import type { NativeBalloon, NativeEvent, NativeExit, NativeSpec } from './native-module.js';

const MEBIBYTE = 1024 * 1024;
const REASONS: readonly string[] = [
  'powered-off',
  'reset',
  'panic',
  'triple-fault',
  'watchdog',
  'killed',
  'error',
  'worker-exited',
] satisfies ExitReason[];

const DETAILS: Record<ExitReason, string> = {
  'powered-off': 'The guest powered itself off.',
  reset: 'The guest asked for a reset.',
  panic: 'The guest kernel panicked.',
  'triple-fault': 'A CPU of the guest shut down by a triple fault.',
  watchdog: 'The guest did not reset its watchdog in time.',
  killed: 'The machine was killed.',
  error: 'The worker met an error it could not go on from.',
  'worker-exited': 'The worker process ended.',
};

type WorkerEnd = Pick<NativeEvent, 'signal' | 'exitStatus'>;

/** The specification in the form of the core; the sockets of the guest are met at `socketPath`. */
export function toNativeSpec(spec: HypervisorSpec, socketPath: string): NativeSpec {
  return {
    profile: spec.profile,
    acpi: spec.acpi,
    cpus: spec.cpus,
    memory: spec.memoryMiB * MEBIBYTE,
    ...toNativeHardware(spec),
    serial: 'console',
    ...(spec.shares === undefined ? {} : { shares: spec.shares.map(({ tag, path, readOnly }) => ({ tag, source: { path }, readOnly })) }),
    rng: spec.rng,
    ...toNativeThrottling(spec),
    ...(spec.vsock === undefined ? {} : { vsock: { socket: { path: socketPath }, ...spec.vsock } }),
    ...(spec.balloon === undefined ? {} : { balloon: toNativeBalloon(spec.balloon) }),
    ...(spec.console === undefined ? {} : { console: spec.console }),
    ...(spec.watchdog === undefined ? {} : { watchdog: spec.watchdog }),
    onReboot: spec.onReboot,
    onPanic: spec.onCrash,
    onTripleFault: spec.onCrash,
    boot: {
      kernel: { path: spec.kernelPath },
      ...(spec.initrdPath === undefined ? {} : { initrd: { path: spec.initrdPath } }),
      ...(spec.commandLine === undefined ? {} : { commandLine: spec.commandLine }),
    },
    disks: spec.disks.map((disk) => ({
      id: disk.name,
      source: { path: disk.path },
      format: disk.format,
      ...(disk.backing.length === 0 ? {} : { backing: disk.backing.map(({ path, format, name }) => ({ source: { path }, format, name })) }),
      readOnly: disk.readOnly,
      ...(disk.serial === undefined ? {} : { serial: disk.serial }),
      ...diskTuning(disk),
    })),
    interfaces: spec.interfaces.map((link) => ({
      id: link.name,
      ...(link.tap === undefined ? {} : { tap: { name: link.tap } }),
      ...(link.user === undefined ? {} : { user: link.user }),
      mac: link.mac,
      ...trafficOf(link),
    })),
  };
}

function toNativeThrottling({ rngThrottle, throttleGroups = [] }: HypervisorSpec): Pick<NativeSpec, 'rngThrottle' | 'throttleGroups'> {
  const groups = throttleGroups.map(({ name, limits }) => ({ id: name, limits }));
  return { ...(rngThrottle === undefined ? {} : { rngThrottle }), ...(groups.length === 0 ? {} : { throttleGroups: groups }) };
}

/** Over-commit is the rule of the host: a machine that commits its memory at once takes what there is, and never more. */
function toNativeHardware(spec: HypervisorSpec): Pick<NativeSpec, 'cpu' | 'memoryOptions' | 'numa'> {
  const { cpu, memoryOptions: options, numa = [], memoryOvercommit } = spec;
  const committed = options?.prefault === true || options?.backing?.startsWith('hugetlb') === true;
  const memoryOptions = { ...options, ...(memoryOvercommit && !committed ? { overcommit: true } : {}) };
  return {
    ...(cpu === undefined ? {} : { cpu }),
    ...(Object.keys(memoryOptions).length === 0 ? {} : { memoryOptions }),
    ...(numa.length === 0 ? {} : { numa: numa.map(({ memoryMiB, ...node }) => ({ ...node, memory: memoryMiB * MEBIBYTE })) }),
  };
}

function toNativeBalloon({ targetMiB, statisticsSeconds, ...balloon }: BalloonSettings): NonNullable<NativeSpec['balloon']> {
  return { target: targetMiB * MEBIBYTE, statisticsInterval: statisticsSeconds, ...balloon };
}

/** A balloon in the words of the API. */
export function toBalloon({ target, actual, statistics }: NativeBalloon): BalloonFacts {
  const facts = { targetBytes: target, actualBytes: actual };
  if (statistics === undefined) return facts;
  const { ageMs, freeMemory, availableMemory, totalMemory, diskCaches, swapIn, swapOut, ...counts } = statistics;
  return {
    ...facts,
    statistics: {
      ageMilliseconds: ageMs,
      ...(freeMemory === undefined ? {} : { freeBytes: freeMemory }),
      ...(availableMemory === undefined ? {} : { availableBytes: availableMemory }),
      ...(totalMemory === undefined ? {} : { totalBytes: totalMemory }),
      ...(diskCaches === undefined ? {} : { diskCacheBytes: diskCaches }),
      ...(swapIn === undefined ? {} : { swapInBytes: swapIn }),
      ...(swapOut === undefined ? {} : { swapOutBytes: swapOut }),
      ...counts,
    },
  };
}

/** Why a machine ended, from the event or the record of its worker. */
export function toExit(facts: NativeEvent | NativeExit | null | undefined): MachineExitFacts {
  const reason = (REASONS.includes(facts?.reason ?? '') ? facts?.reason : 'error') as ExitReason;
  const { cpu, afterReset, registers } = cpuReport(facts?.registers);
  const from = cpu === undefined ? '' : ` It was CPU ${cpu}.`;
  // Values that the guest never had would lead whoever reads them astray.
  if (afterReset) return { reason, detail: `${facts?.message ?? DETAILS[reason]}${from} Its registers are lost: KVM has reset it.` };
  return { reason, detail: facts?.message ?? `${DETAILS[reason]}${from}`, ...(registers === undefined ? {} : { registers }) };
}

/**
 * A worker process that is gone and left no word, with its exit status or signal. Neither is known of a worker that another
 * process had started; but a worker that ends by itself leaves word, so this one was ended by a signal.
 */
export function toWorkerExit(event: WorkerEnd): MachineExitFacts {
  return { reason: 'worker-exited', detail: `The worker process ended${howItEnded(event)}.` };
}

function howItEnded({ signal, exitStatus }: WorkerEnd): string {
  if (typeof signal === 'number') return ` by signal ${signalName(signal)}`;
  if (typeof exitStatus === 'number') return ` with status ${exitStatus}`;
  return ' by a signal; which one is not known, because an earlier process of the agent had started it';
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  if (number === constants.signals.SIGSYS) return 'SIGSYS (it made a system call that its sandbox forbids)';
  return found === undefined ? String(number) : found[0];
}

interface CpuReport {
  cpu?: number;
  afterReset?: boolean;
  registers?: Record<string, string>;
}

/** The report of one CPU, from a worker that may be of another release. */
function cpuReport(report: unknown): CpuReport {
  if (typeof report !== 'object' || report === null || !('registers' in report)) return {};
  const registers = flatRegisters(report.registers);
  return {
    ...('cpu' in report && typeof report.cpu === 'number' ? { cpu: report.cpu } : {}),
    ...('afterReset' in report && report.afterReset === true ? { afterReset: true } : {}),
    ...(registers === undefined ? {} : { registers }),
  };
}

function flatRegisters(registers: unknown): Record<string, string> | undefined {
  if (typeof registers !== 'object' || registers === null) return undefined;
  return Object.fromEntries(
    Object.entries(registers)
      .filter(([, value]) => ['string', 'number', 'bigint'].includes(typeof value))
      .map(([name, value]) => [name, typeof value === 'string' ? value : `0x${BigInt(value as number | bigint).toString(16)}`]),
  );
}

/** What a worker tells of a guest that may run on, if we know it. */
export function toAlarm({ kind, action, disk, interface: link, share }: NativeEvent): MachineAlarm | undefined {
  if (kind === 'watchdog' && isWatchdogAction(action)) return { kind, action };
  if (kind === 'disk-full' && disk !== undefined) return { kind, name: disk };
  if (kind === 'link-lost' && link !== undefined) return { kind, name: link };
  if (kind === 'share-lost' && share !== undefined) return { kind, name: share };
  return undefined;
}
