// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '../../../common/api-error.js';
import { sleep } from '../../../common/async.js';
import type { Log } from '../../../common/log.js';
import { CONSOLE_WRITER_TAKEN, type ConsoleLog, type HostConsole, type HostEvent, type HostReport, type MachineExitFacts, type MachineObservation } from '../../../host-agent/host-agent.js';
import { Hypervisor, type HypervisorSpec } from '../hypervisor.js';
import { fromNative, native } from './native-errors.js';
import { toExit, toNativeSpec, toWorkerExit } from './native-mapper.js';
import type { NativeEvent, NativeMachine, NativeModule, NativeWorker } from './native-module.js';

/** Size of the ring in the worker. */
const RING_BYTES = 1024 * 1024;
const ADOPT_ATTEMPTS = 20;
const ADOPT_WAIT_MILLISECONDS = 50;

/** Without `machine` it is what an earlier worker has left. */
interface Held { id: string; machine?: NativeMachine; state: MachineObservation['state']; pid: number | null; exit?: MachineExitFacts; listening: AbortController }

export interface NativeOptions { runtimeDirectory: string; workerPath: string | undefined; log: Log }

/** Machines by the native core: one worker process each, which outlives this process. */
export class NativeHypervisor extends Hypervisor {
  private readonly held = new Map<string, Held>();
  private readonly listeners = new Set<(event: HostEvent) => void>();

  constructor(private readonly core: NativeModule, private readonly options: NativeOptions) {
    super();
    mkdirSync(join(options.runtimeDirectory, 'machines'), { recursive: true, mode: 0o700 });
  }

  override async adopt(): Promise<void> {
    const workers = await this.core.listWorkers(this.options.runtimeDirectory);
    await Promise.all(workers.map(async (worker) => {
      try {
        await (worker.alive ? this.takeOver(worker) : this.inherit(worker));
      } catch (error) {
        this.options.log.error({ err: error, machine: worker.id }, worker.alive ? 'a live worker could not be adopted' : 'what a worker has left could not be taken over');
      }
    }));
  }

  override report(): Promise<HostReport> {
    return native(() => this.core.checkHost());
  }

  override async create(spec: HypervisorSpec): Promise<{ pid?: number }> {
    const known = this.held.get(spec.id);
    if (known !== undefined && known.state !== 'stopped') return { ...(known.pid === null ? {} : { pid: known.pid }) };
    if (known !== undefined) await this.release(spec.id);
    const { runtimeDirectory, workerPath } = this.options;
    try {
      const machine = await this.core.Machine.create({
        id: spec.id, spec: toNativeSpec(spec), runtimeDirectory, isolation: spec.isolation, ...(workerPath === undefined ? {} : { workerPath }),
      });
      this.hold(machine, 'configured');
      return { ...(machine.pid === null ? {} : { pid: machine.pid }) };
    } catch (error) {
      await this.core.removeStale(runtimeDirectory, spec.id).catch(() => undefined);
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

  override async kill(id: string): Promise<void> {
    const held = this.held.get(id);
    if (held?.machine === undefined) return;
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
    if (held?.machine !== undefined) {
      held.listening.abort();
      await held.machine.kill().catch((error: unknown) => this.options.log.debug({ err: error, machine: id }, 'the worker was gone already'));
      await held.machine.close();
    }
    await native(() => this.core.removeStale(this.options.runtimeDirectory, id));
  }

  override list(): Promise<MachineObservation[]> {
    return Promise.resolve([...this.held.values()].map(observe));
  }

  override metrics(id: string): Promise<Record<string, number>> {
    return native(() => this.live(id).machine.metrics());
  }

  override async openConsole(id: string, options: { offset?: number; write: boolean; signal?: AbortSignal }): Promise<HostConsole> {
    const machine = this.held.get(id)?.machine;
    if (machine === undefined) throw gone(id);
    try {
      const connection = await this.core.openConsole({ path: machine.consolePath, ...options });
      return {
        offset: connection.offset, writer: options.write, ringBytes: RING_BYTES, data: connection.data,
        write: async (bytes) => { await connection.write(bytes); },
        close: async () => { await connection.close(); },
      };
    } catch (error) {
      if (codeOf(error) === 'console.busy') {
        throw new ApiError(CONSOLE_WRITER_TAKEN, { detail: 'Another client writes to this console.', remedy: 'Attach for reading only, or end the other client.', field: 'write', cause: error });
      }
      throw gone(id);
    }
  }

  override watch(listener: (event: HostEvent) => void): void {
    this.listeners.add(listener);
  }

  override async close(): Promise<void> {
    this.listeners.clear();
    for (const held of this.held.values()) {
      held.listening.abort();
      await held.machine?.close();
    }
    this.held.clear();
  }

  /** A worker keeps the old connection for a moment after its client died, and one whose guest has ended goes: look a few times. */
  private async takeOver(worker: NativeWorker): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.adoptOne(worker.id);
      } catch (error) {
        const code = codeOf(error);
        if (code === 'worker.gone' && !await this.isAlive(worker.id)) return this.inherit(worker);
        if ((code !== 'worker.gone' && code !== 'worker.busy') || attempt >= ADOPT_ATTEMPTS) throw error;
        await sleep(ADOPT_WAIT_MILLISECONDS);
      }
    }
  }

  private async isAlive(id: string): Promise<boolean> {
    return (await this.core.listWorkers(this.options.runtimeDirectory)).some((worker) => worker.id === id && worker.alive);
  }

  private async adoptOne(id: string): Promise<void> {
    const machine = await this.core.Machine.adopt({ id, runtimeDirectory: this.options.runtimeDirectory });
    const info = await machine.info().catch(async (error: unknown) => {
      await machine.close();
      throw error;
    });
    const held = this.hold(machine, info.state);
    if (info.state === 'stopped') held.exit = toExit(info.exit);
  }

  /** A worker that ended while nobody looked: how it ended and its console are kept until the machine is released. */
  private async inherit(worker: NativeWorker): Promise<void> {
    const { id, pid, bootId } = worker;
    if (pid === 0) return this.core.removeStale(this.options.runtimeDirectory, id); // half made: it ran nothing
    // When the host was restarted everything ended; that is for others to say.
    const exit = await this.exitOf(id, bootId === await currentBootId() ? toWorkerExit({}) : undefined);
    this.held.set(id, { id, state: 'stopped', pid: null, listening: new AbortController(), ...(exit === undefined ? {} : { exit }) });
  }

  /** What a worker that is gone has left, or what is known without. */
  private async exitOf<T extends MachineExitFacts | undefined>(id: string, otherwise: T): Promise<MachineExitFacts | T> {
    try {
      const left = await this.core.readExit(this.options.runtimeDirectory, id);
      return left === undefined ? otherwise : toExit(left);
    } catch (error) {
      this.options.log.warn({ err: error, machine: id }, 'the exit report of a worker cannot be used');
      return otherwise;
    }
  }

  private hold(machine: NativeMachine, state: MachineObservation['state']): Held {
    const held: Held = { id: machine.id, machine, state, pid: machine.pid, listening: new AbortController() };
    this.held.set(machine.id, held);
    this.listen(held, machine).catch(async (error: unknown) => {
      if (held.listening.signal.aborted) return;
      this.options.log.warn({ err: error, machine: machine.id }, 'the events of a worker ended');
      this.ended(held, await this.exitOf(machine.id, { reason: 'worker-exited', detail: 'The connection to the worker process was lost.' }));
    });
    return held;
  }

  private async listen(held: Held, machine: NativeMachine): Promise<void> {
    for await (const event of machine.events({ signal: held.listening.signal })) await this.take(held, event);
  }

  private async take(held: Held, event: NativeEvent): Promise<void> {
    if (event.kind === 'stopped') this.ended(held, toExit(event));
    else if (event.kind === 'worker-exited') this.ended(held, held.exit ?? await this.exitOf(held.id, toWorkerExit(event)));
    else if (event.kind === 'state' && (event.state === 'running' || event.state === 'paused')) {
      held.state = event.state;
      this.tell({ kind: 'machine', machine: observe(held) });
    } else if (event.kind === 'lost') this.tell({ kind: 'lost' });
  }

  private ended(held: Held, exit: MachineExitFacts): void {
    if (held.state === 'stopped') return;
    held.state = 'stopped';
    held.exit = exit;
    this.tell({ kind: 'machine', machine: observe(held) });
  }

  private tell(event: HostEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  private live(id: string): Held & { machine: NativeMachine } {
    const held = this.held.get(id);
    if (held?.machine === undefined || held.state === 'stopped') throw gone(id);
    return held as Held & { machine: NativeMachine };
  }
}

function observe(held: Held): MachineObservation {
  return { id: held.id, state: held.state, ...(held.pid === null || held.state === 'stopped' ? {} : { pid: held.pid }), ...(held.exit === undefined ? {} : { exit: held.exit }) };
}

async function currentBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function gone(id: string): ApiError {
  return new ApiError('worker.gone', { detail: `Machine ${id} has no worker.`, remedy: 'Start the machine.' });
}
