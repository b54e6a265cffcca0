// SPDX-License-Identifier: Apache-2.0
import { constants } from 'node:os';
import { trafficOf } from '../../../common/interface-traffic.js';
import { diskTuning } from '../../../host-agent/disk-tuning.js';
import type { ExitReason, MachineExitFacts } from '../../../host-agent/host-agent.js';
import type { HypervisorSpec } from '../hypervisor.js';
import type { NativeEvent, NativeExit, NativeSpec } from './native-module.js';

const MEBIBYTE = 1024 * 1024;
const REASONS: readonly string[] = [
  'powered-off',
  'reset',
  'panic',
  'triple-fault',
  'killed',
  'error',
  'worker-exited',
] satisfies ExitReason[];

const DETAILS: Record<ExitReason, string> = {
  'powered-off': 'The guest powered itself off.',
  reset: 'The guest asked for a reset.',
  panic: 'The guest kernel panicked.',
  'triple-fault': 'A CPU of the guest shut down by a triple fault.',
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
    rng: spec.rng,
    ...(spec.vsock === undefined ? {} : { vsock: { socket: { path: socketPath }, ...spec.vsock } }),
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
      format: 'raw' as const,
      readOnly: disk.readOnly,
      ...(disk.serial === undefined ? {} : { serial: disk.serial }),
      ...diskTuning(disk),
    })),
    interfaces: spec.interfaces.map((link) => ({ id: link.name, tap: { name: link.tap }, mac: link.mac, ...trafficOf(link) })),
  };
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
