// SPDX-License-Identifier: Apache-2.0
import { sleep } from '../../../common/async.js';
import type { Log } from '../../../common/log.js';
import type { MachineExitFacts } from '../../../host-agent/host-agent.js';
import { currentBootId } from '../../boot-id.js';
import type { ConnectedMachine, HeldMachine, LeftMachine } from './held.js';
import { codeOf } from './native-errors.js';
import { toExit, toWorkerExit } from './native-mapper.js';
import type { NativeModule, NativeWorker } from './native-module.js';

const ATTEMPTS = 20;
const WAIT_MILLISECONDS = 50;

/** What the workers of an earlier process are now: machines that go on, or what they have left. */
export class Adoption {
  constructor(
    private readonly core: NativeModule,
    private readonly options: { runtimeDirectory: string; log: Log },
  ) {}

  /** Connects to a worker or takes over what it has left. Undefined when there is nothing, or nothing that can be had: that is logged. */
  async takeOver(worker: NativeWorker, level: 'error' | 'debug' = 'error'): Promise<HeldMachine | undefined> {
    const { id, pid, alive } = worker;
    try {
      return await (alive ? this.connect(worker) : this.inherit(worker));
    } catch (error) {
      this.options.log[level](
        { err: error, machine: id, pid },
        alive
          ? 'a live worker could not be adopted; it is tried again, and a kill of the machine ends it'
          : 'what a worker has left could not be taken over',
      );
      return alive ? { kind: 'unreached', id, state: 'unreached', pid } : undefined;
    }
  }

  /** The same again for a worker that lived and could not be adopted, which was logged then. */
  async tryAgain(id: string): Promise<HeldMachine | undefined> {
    const worker = (await this.core.listWorkers(this.options.runtimeDirectory)).find((one) => one.id === id);
    return worker === undefined ? undefined : this.takeOver(worker, 'debug');
  }

  /** What a worker that is gone has left, or what is known without. */
  async exitOf<T extends MachineExitFacts | undefined>(id: string, otherwise: T): Promise<MachineExitFacts | T> {
    try {
      const left = await this.core.readExit(this.options.runtimeDirectory, id);
      return left === undefined ? otherwise : toExit(left);
    } catch (error) {
      this.options.log.warn({ err: error, machine: id }, 'the exit report of a worker cannot be used');
      return otherwise;
    }
  }

  /** A worker keeps the old connection for a moment after its client died, and one whose guest has ended goes: look a few times. */
  private async connect(worker: NativeWorker): Promise<ConnectedMachine | LeftMachine | undefined> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.connectOnce(worker.id);
      } catch (error) {
        const code = codeOf(error);
        if (code === 'worker.gone' && !(await this.isAlive(worker.id))) return this.inherit(worker);
        if ((code !== 'worker.gone' && code !== 'worker.busy') || attempt >= ATTEMPTS) throw error;
        await sleep(WAIT_MILLISECONDS);
      }
    }
  }

  private async isAlive(id: string): Promise<boolean> {
    return (await this.core.listWorkers(this.options.runtimeDirectory)).some((worker) => worker.id === id && worker.alive);
  }

  private async connectOnce(id: string): Promise<ConnectedMachine> {
    const machine = await this.core.Machine.adopt({ id, runtimeDirectory: this.options.runtimeDirectory });
    const { state, exit } = await machine.info().catch(async (error: unknown) => {
      await machine.close();
      throw error;
    });
    return {
      kind: 'connected',
      id,
      machine,
      state,
      listening: new AbortController(),
      ...(state === 'stopped' ? { exit: toExit(exit) } : {}),
    };
  }

  /** A worker that ended while nobody looked: how it ended and its console are kept until the machine is released. */
  private async inherit({ id, pid, bootId }: NativeWorker): Promise<LeftMachine | undefined> {
    if (pid === 0) {
      // half made: it ran nothing
      await this.core.removeStale(this.options.runtimeDirectory, id);
      return undefined;
    }
    // When the host was restarted everything ended; that is for others to say.
    const exit = await this.exitOf(id, bootId === (await currentBootId()) ? toWorkerExit({}) : undefined);
    return { kind: 'left', id, state: 'stopped', ...(exit === undefined ? {} : { exit }) };
  }
}
