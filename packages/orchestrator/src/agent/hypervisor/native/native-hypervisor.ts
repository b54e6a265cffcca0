// SPDX-License-Identifier: Apache-2.0
import type { Limits } from '../../../common/throttle.js';
import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '../../../common/api-error.js';
import type { BalloonFacts, ReclaimFacts } from '../../../common/balloon.js';
import type { LinkState } from '../../../common/interface-traffic.js';
import type { Log } from '../../../common/log.js';
import {
  CONSOLE_WRITER_TAKEN,
  type ConsoleLog,
  type HostConsole,
  type HostReport,
  type MachineExitFacts,
  type MachineObservation,
} from '../../../host-agent/host-agent.js';
import { type ConsoleAccess, Hypervisor, type HypervisorSpec, portNotFound, type ThrottleTarget } from '../hypervisor.js';
import { Adoption } from './adoption.js';
import { type ConnectedMachine, type HeldMachine, observe, type UnreachedMachine } from './held.js';
import { codeOf, fromNative, native } from './native-errors.js';
import { toAlarm, toBalloon, toExit, toNativeSpec, toWorkerExit } from './native-mapper.js';
import type { NativeEvent, NativeModule } from './native-module.js';

export interface NativeOptions {
  runtimeDirectory: string;
  workerPath: string | undefined;
  /** Folders that machines may share, with what is in them. */
  shareRoots: readonly string[];
  log: Log;
  /** A worker that could not be adopted is tried again at most so often; 2000 when left out. */
  reachMilliseconds?: number;
}

/** Machines by the native core: one worker process each, which outlives this process. */
export class NativeHypervisor extends Hypervisor {
  private readonly held = new Map<string, HeldMachine>();
  private readonly adoption: Adoption;
  /** Until when (`performance.now()`) a worker that could not be adopted is left in peace. */
  private readonly tried = new Map<string, number>();

  constructor(
    private readonly core: NativeModule,
    private readonly options: NativeOptions,
  ) {
    super();
    this.adoption = new Adoption(core, options);
    mkdirSync(join(options.runtimeDirectory, 'machines'), { recursive: true, mode: 0o700 });
    mkdirSync(join(options.runtimeDirectory, 'vsock'), { recursive: true, mode: 0o700 });
  }

  override async adopt(): Promise<void> {
    const workers = await this.core.listWorkers(this.options.runtimeDirectory);
    await Promise.all(
      workers.map(async (worker) => {
        const found = await this.adoption.takeOver(worker);
        if (found !== undefined) this.hold(found);
      }),
    );
  }

  override report(): Promise<HostReport> {
    return native(() => this.core.checkHost());
  }

  override async create(spec: HypervisorSpec): Promise<{ pid?: number }> {
    const known = this.held.get(spec.id);
    if (known?.kind === 'unreached') throw unreached(spec.id);
    if (known !== undefined && known.state !== 'stopped') return pidOf(known);
    if (known !== undefined) await this.release(spec.id);
    const { runtimeDirectory, workerPath, shareRoots } = this.options;
    try {
      const machine = await this.core.Machine.create({
        id: spec.id,
        spec: toNativeSpec(spec, this.socketPath(spec.id)),
        runtimeDirectory,
        isolation: spec.isolation,
        shareRoots,
        ...(workerPath === undefined ? {} : { workerPath }),
      });
      const held: ConnectedMachine = { kind: 'connected', id: machine.id, machine, state: 'configured', listening: new AbortController() };
      this.hold(held);
      return pidOf(held);
    } catch (error) {
      await this.core.removeStale(runtimeDirectory, spec.id).catch(() => undefined);
      await rm(this.socketPath(spec.id), { force: true });
      throw fromNative(error);
    }
  }

  override async boot(id: string): Promise<void> {
    const held = this.live(id);
    if (held.state !== 'configured') return;
    await native(() => held.machine.boot());
    if (held.state === 'configured') held.state = 'running';
  }

  override powerButton(id: string): Promise<void> {
    return native(() => this.live(id).machine.powerButton());
  }

  override async pause(id: string): Promise<void> {
    const held = this.live(id);
    await native(() => held.machine.pause());
    held.state = 'paused';
  }

  override async resume(id: string): Promise<void> {
    const held = this.live(id);
    await native(() => held.machine.resume());
    held.state = 'running';
  }

  override setLink(id: string, name: string, link: LinkState): Promise<void> {
    return native(() => this.live(id).machine.setLink(name, link));
  }

  override announce(id: string, name: string): Promise<void> {
    return native(() => this.live(id).machine.announce(name));
  }

  override setThrottle(id: string, { kind, name }: ThrottleTarget, limits: Limits): Promise<void> {
    return native(() => this.live(id).machine.setThrottle(kind === 'rng' ? { kind } : { kind, id: name }, limits));
  }

  override setBalloon(id: string, targetMiB: number): Promise<void> {
    return native(() => this.live(id).machine.setBalloon(targetMiB * 1024 * 1024));
  }

  override async balloon(id: string): Promise<BalloonFacts> {
    return toBalloon(await native(() => this.live(id).machine.balloon()));
  }

  override async reclaimMemory(id: string): Promise<ReclaimFacts> {
    const { released, complete } = await native(() => this.live(id).machine.reclaimMemory());
    return { releasedBytes: released, complete };
  }

  override async kill(id: string): Promise<void> {
    const held = this.held.get(id);
    if (held?.kind === 'unreached') return this.killUnreached(held);
    if (held?.kind !== 'connected') return;
    held.listening.abort();
    // What does not end is found when its run directory is to be removed.
    await held.machine.end().catch((error: unknown) => this.options.log.debug({ err: error, machine: id }, 'the worker was gone already'));
    held.state = 'stopped';
    held.exit ??= toExit({ reason: 'killed' });
  }

  override async readConsole(id: string): Promise<ConsoleLog | undefined> {
    if (!this.held.has(id)) return undefined;
    return native(() => this.core.readConsole({ id, runtimeDirectory: this.options.runtimeDirectory }));
  }

  override async release(id: string): Promise<void> {
    const held = this.held.get(id);
    if (held !== undefined && held.state !== 'stopped') return;
    this.held.delete(id);
    this.tried.delete(id);
    if (held?.kind === 'connected') {
      held.listening.abort();
      await held.machine
        .kill()
        .catch((error: unknown) => this.options.log.debug({ err: error, machine: id }, 'the worker was gone already'));
      await held.machine.close();
    }
    await native(() => this.core.removeStale(this.options.runtimeDirectory, id));
    await rm(this.socketPath(id), { force: true });
  }

  /** Where programs of this host meet those of the guest, if the machine has sockets. */
  private socketPath(id: string): string {
    return join(this.options.runtimeDirectory, 'vsock', `${id}.sock`);
  }

  override list(): Promise<MachineObservation[]> {
    for (const held of this.held.values()) if (held.kind === 'unreached') this.reach(held);
    return Promise.resolve([...this.held.values()].map(observe));
  }

  override growDisk(id: string, disk: string, sizeBytes: number): Promise<number> {
    return native(() => this.live(id).machine.growDisk(disk, sizeBytes));
  }

  override async refreshDisk(id: string, disk: string): Promise<void> {
    await native(() => this.live(id).machine.refreshDisk(disk));
  }

  override metrics(id: string): Promise<Record<string, number>> {
    return native(() => this.live(id).machine.metrics());
  }

  override async openConsole(id: string, options: ConsoleAccess): Promise<HostConsole> {
    const held = this.held.get(id);
    if (held?.kind === 'unreached') throw unreached(id);
    if (held?.kind !== 'connected') throw gone(id);
    try {
      const connection = await this.core.openConsole({ path: held.machine.consolePath, ...options });
      return {
        offset: connection.offset,
        writer: options.write,
        ringBytes: connection.ringBytes,
        data: connection.data,
        write: async (bytes) => {
          await connection.write(bytes);
        },
        resize: async ({ columns, rows }) => {
          await connection.resize(columns, rows);
        },
        close: async () => {
          await connection.close();
        },
      };
    } catch (error) {
      if (codeOf(error) === 'console.busy') {
        throw new ApiError(CONSOLE_WRITER_TAKEN, {
          detail: 'Another client writes to this console.',
          remedy: 'Attach for reading only, or end the other client.',
          field: 'write',
          cause: error,
        });
      }
      if (codeOf(error) === 'console.no_port') throw portNotFound(options.port, error);
      if (codeOf(error) === 'console.full') {
        throw new ApiError('console.full', {
          detail: 'As many clients read this console as may.',
          remedy: 'End another client first.',
          cause: error,
        });
      }
      throw gone(id);
    }
  }

  override async close(): Promise<void> {
    this.listeners.clear();
    for (const held of this.held.values()) {
      if (held.kind !== 'connected') continue;
      held.listening.abort();
      await held.machine.close();
    }
    this.held.clear();
  }

  private hold(held: HeldMachine): void {
    this.held.set(held.id, held);
    if (held.kind !== 'connected') return;
    this.listen(held).catch(async (error: unknown) => {
      if (held.listening.signal.aborted) return;
      this.options.log.warn({ err: error, machine: held.id }, 'the events of a worker ended');
      this.ended(
        held,
        await this.adoption.exitOf(held.id, { reason: 'worker-exited', detail: 'The connection to the worker process was lost.' }),
      );
    });
  }

  /** Tries again to connect, beside whoever looks: a worker that hangs must not hold up the others. */
  private reach(held: UnreachedMachine): void {
    const { id } = held;
    if (performance.now() < (this.tried.get(id) ?? 0)) return;
    this.tried.set(id, Number.POSITIVE_INFINITY); // until this attempt is over
    this.adoption
      .tryAgain(id)
      .then(async (found) => {
        if (this.held.get(id) !== held) return found?.kind === 'connected' ? found.machine.close() : undefined;
        if (found?.kind === 'unreached') return;
        this.held.delete(id);
        if (found !== undefined) this.hold(found);
        this.tell(found === undefined ? { kind: 'lost' } : { kind: 'machine', machine: observe(found) });
      })
      .catch((error: unknown) => this.options.log.warn({ err: error, machine: id }, 'a worker could not be looked for'))
      .finally(() => {
        if (this.held.get(id) === held) this.tried.set(id, performance.now() + (this.options.reachMilliseconds ?? 2_000));
        else this.tried.delete(id);
      });
  }

  /** Ends a worker that does not answer, by what is recorded of its process. */
  private async killUnreached({ id }: UnreachedMachine): Promise<void> {
    await native(() => this.core.endWorker(this.options.runtimeDirectory, id));
    const now = this.held.get(id);
    if (now?.kind === 'connected') return this.kill(id); // it was reached just before it ended
    this.hold({ kind: 'left', id, state: 'stopped', exit: toExit({ reason: 'killed' }) });
  }

  private async listen(held: ConnectedMachine): Promise<void> {
    for await (const event of held.machine.events({ signal: held.listening.signal })) await this.take(held, event);
  }

  private async take(held: ConnectedMachine, event: NativeEvent): Promise<void> {
    if (event.kind === 'stopped') this.ended(held, toExit(event));
    else if (event.kind === 'worker-exited') this.ended(held, held.exit ?? (await this.adoption.exitOf(held.id, toWorkerExit(event))));
    else if (event.kind === 'state' && (event.state === 'running' || event.state === 'paused')) {
      held.state = event.state;
      this.tell({ kind: 'machine', machine: observe(held) });
    } else if (event.kind === 'lost') this.tell({ kind: 'lost' });
    else {
      const alarm = toAlarm(event);
      if (alarm !== undefined) this.tell({ kind: 'alarm', id: held.id, alarm });
    }
  }

  private ended(held: ConnectedMachine, exit: MachineExitFacts): void {
    if (held.state === 'stopped') return;
    held.state = 'stopped';
    held.exit = exit;
    this.tell({ kind: 'machine', machine: observe(held) });
  }

  private live(id: string): ConnectedMachine {
    const held = this.held.get(id);
    if (held?.kind === 'unreached') throw unreached(id);
    if (held?.kind !== 'connected' || held.state === 'stopped') throw gone(id);
    return held;
  }
}

function pidOf({ machine: { pid } }: ConnectedMachine): { pid?: number } {
  return pid === null ? {} : { pid };
}

function unreached(id: string): ApiError {
  return new ApiError('worker.busy', {
    detail: `The worker of machine ${id} lives but does not let itself be adopted.`,
    remedy: 'It is tried again every few seconds; the log of the host says why it fails. To end the machine, kill it.',
  });
}

function gone(id: string): ApiError {
  return new ApiError('worker.gone', { detail: `Machine ${id} has no worker.`, remedy: 'Start the machine.' });
}
