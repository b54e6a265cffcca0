// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ApiError } from '../../../common/api-error.js';
import { sleep } from '../../../common/async.js';
import type { Log } from '../../../common/log.js';
import { CONSOLE_WRITER_TAKEN, type HostConsole, type HostEvent, type HostReport, type MachineExitFacts, type MachineObservation } from '../../../host-agent/host-agent.js';
import { Hypervisor, type HypervisorSpec } from '../hypervisor.js';
import { fromNative, native } from './native-errors.js';
import { toExit, toNativeSpec, toWorkerExit } from './native-mapper.js';
import type { NativeEvent, NativeMachine, NativeModule } from './native-module.js';

/** Size of the ring in the worker. */
const RING_BYTES = 1024 * 1024;
const ADOPT_ATTEMPTS = 20;
const ADOPT_WAIT_MILLISECONDS = 50;

interface Held { machine: NativeMachine; state: MachineObservation['state']; pid: number | null; exit?: MachineExitFacts; listening: AbortController }

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
      if (!worker.alive) return this.core.removeStale(this.options.runtimeDirectory, worker.id);
      try {
        await this.adoptOne(worker.id);
      } catch (error) {
        this.options.log.error({ err: error, machine: worker.id }, 'a live worker could not be adopted');
      }
    }));
  }

  override report(): Promise<HostReport> {
    return native(() => this.core.checkHost());
  }

  override async create(spec: HypervisorSpec): Promise<{ pid?: number }> {
    const known = this.held.get(spec.id);
    if (known !== undefined && known.state !== 'stopped') return { ...(known.pid === null ? {} : { pid: known.pid }) };
    if (known !== undefined) await this.kill(spec.id);
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
    if (held !== undefined) {
      this.held.delete(id);
      held.listening.abort();
      await held.machine.kill().catch((error: unknown) => this.options.log.debug({ err: error, machine: id }, 'the worker was gone already'));
      await held.machine.close();
    }
    await native(() => this.core.removeStale(this.options.runtimeDirectory, id));
  }

  override async release(id: string): Promise<void> {
    const held = this.held.get(id);
    if (held === undefined || held.state === 'stopped') await this.kill(id);
  }

  override list(): Promise<MachineObservation[]> {
    return Promise.resolve([...this.held.values()].map(observe));
  }

  override metrics(id: string): Promise<Record<string, number>> {
    return native(() => this.live(id).machine.metrics());
  }

  override async openConsole(id: string, options: { offset?: number; write: boolean; signal?: AbortSignal }): Promise<HostConsole> {
    const held = this.held.get(id);
    if (held === undefined) throw gone(id);
    try {
      const connection = await this.core.openConsole({ path: held.machine.consolePath, ...options });
      return {
        offset: connection.offset, writer: options.write, ringBytes: RING_BYTES, data: connection.data,
        write: async (bytes) => { await connection.write(bytes); },
        close: async () => { await connection.close(); },
      };
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      if (code === 'console.busy') {
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
      await held.machine.close();
    }
    this.held.clear();
  }

  /** A worker keeps the old connection for a moment after its client died: try a few times. */
  private async adoptOne(id: string): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const machine = await this.core.Machine.adopt({ id, runtimeDirectory: this.options.runtimeDirectory });
        const info = await machine.info();
        const held = this.hold(machine, info.state);
        if (info.state === 'stopped') held.exit = toExit(info.exit);
        return;
      } catch (error) {
        const busy = error instanceof Error && 'code' in error && error.code === 'worker.busy';
        if (!busy || attempt >= ADOPT_ATTEMPTS) throw error;
        await sleep(ADOPT_WAIT_MILLISECONDS);
      }
    }
  }

  private hold(machine: NativeMachine, state: MachineObservation['state']): Held {
    const held: Held = { machine, state, pid: machine.pid, listening: new AbortController() };
    this.held.set(machine.id, held);
    this.listen(held).catch((error: unknown) => {
      if (held.listening.signal.aborted) return;
      this.options.log.warn({ err: error, machine: machine.id }, 'the events of a worker ended');
      this.ended(held, { reason: 'worker-exited', detail: 'The connection to the worker process was lost.' });
    });
    return held;
  }

  private async listen(held: Held): Promise<void> {
    for await (const event of held.machine.events({ signal: held.listening.signal })) this.take(held, event);
  }

  private take(held: Held, event: NativeEvent): void {
    if (event.kind === 'stopped') this.ended(held, toExit(event));
    else if (event.kind === 'worker-exited') this.ended(held, toWorkerExit(event));
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

  private live(id: string): Held {
    const held = this.held.get(id);
    if (held === undefined || held.state === 'stopped') throw gone(id);
    return held;
  }
}

function observe(held: Held): MachineObservation {
  return { id: held.machine.id, state: held.state, ...(held.pid === null || held.state === 'stopped' ? {} : { pid: held.pid }), ...(held.exit === undefined ? {} : { exit: held.exit }) };
}

function gone(id: string): ApiError {
  return new ApiError('worker.gone', { detail: `Machine ${id} has no worker.`, remedy: 'Start the machine.' });
}
