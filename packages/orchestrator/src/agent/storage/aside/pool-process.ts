// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ApiError } from '../../../common/api-error.js';
import type { CommandControl } from '../../../host-agent/host-agent.js';
import type { AsideSetup, FromPoolServer, PoolCall, PoolCalls, PoolSetup, ToPoolServer } from './pool-messages.js';

/** Bounds of waits, in milliseconds. */
export interface Patience {
  /** Until the process has started: that has nothing to do with the storage. */
  start: number;
  /** Between two looks at whether the storage answers, while something is asked of it. */
  between: number;
  /** Until the storage has answered one. */
  answer: number;
}
const PATIENCE: Patience = { start: 60_000, between: 1_000, answer: 10_000 };
/** Calls of the process that may wait for the storage at once; they are threads. */
const THREADS = 16;

interface Waiting {
  resolve(answer: unknown): void;
  reject(error: unknown): void;
  control: CommandControl;
}

/**
 * A process of its own for the files of a pool whose storage may go away. Whoever looks at a file there then waits in the kernel, and
 * cannot be called back; a thread of ours would be lost for ever, and we have few. So each look is this process's, and while anything
 * is asked of it, it is looked at whether the storage answers at all. When it does not, the process is killed, and everything
 * that was asked for fails. How long something takes on storage that answers is not limited.
 */
export class PoolProcess {
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, Waiting>();
  private readonly ready: Promise<void>;
  private started: () => void = () => undefined;
  private last = 0;
  private watching = false;
  private end: ApiError | undefined;

  constructor(
    setup: PoolSetup | AsideSetup,
    /** What it fails with when the storage does not answer. */
    private readonly away: (why: string) => ApiError,
    private readonly patience: Patience = PATIENCE,
  ) {
    this.child = fork(fileURLToPath(new URL('./pool-server.js', import.meta.url)), [JSON.stringify(setup)], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, UV_THREADPOOL_SIZE: String(THREADS) },
    });
    this.ready = new Promise((resolve) => {
      this.started = resolve;
    });
    this.child.on('message', (message: FromPoolServer) => this.take(message));
    this.child.on('error', (error) => this.lose(this.away(`The process that works on it failed: ${error.message}.`)));
    this.child.on('exit', () => this.lose(this.away('The process that works on it has ended.')));
    // It must not keep this process from its end; what it is asked for is waited for by whoever asked.
    this.child.unref();
    this.child.channel?.unref();
  }

  /** Whether it can be asked for something. */
  get lives(): boolean {
    return this.end === undefined;
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  call<C extends PoolCall>(
    call: C,
    takes: PoolCalls[C]['takes'],
    { guardPercent, ...control }: CommandControl & { guardPercent?: number } = {},
  ): Promise<PoolCalls[C]['answers']> {
    const { signal } = control;
    this.last += 1;
    const id = this.last;
    return new Promise<PoolCalls[C]['answers']>((resolve, reject) => {
      if (this.end !== undefined) return reject(this.end);
      signal?.throwIfAborted();
      this.waiting.set(id, { resolve: resolve as (answer: unknown) => void, reject, control });
      this.send({ id, call, takes, ...(guardPercent === undefined ? {} : { guardPercent }) } as ToPoolServer);
      signal?.addEventListener('abort', () => this.waiting.has(id) && this.send({ id, abort: true }), { once: true });
      void this.watch();
    });
  }

  /** Ends it, whatever it does; resolves when it is gone, or will be as soon as the kernel lets go of it. */
  async kill(): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) resolve();
      else this.child.once('exit', () => resolve());
    });
    this.lose(this.away('It is let go of.'));
    await Promise.race([gone, delay(this.patience.between, undefined, { ref: false })]);
  }

  private send(message: ToPoolServer): void {
    if (this.child.connected) this.child.send(message, () => undefined); // that it has ended is told by its end
  }

  private take(message: FromPoolServer): void {
    if ('ready' in message) {
      this.started();
      return;
    }
    const waiting = this.waiting.get(message.id);
    if (waiting === undefined) return;
    if ('progress' in message) {
      waiting.control.onProgress?.(message.progress);
      return;
    }
    this.waiting.delete(message.id);
    const { signal } = waiting.control;
    if ('answer' in message) waiting.resolve(message.answer);
    else waiting.reject(signal?.aborted === true ? signal.reason : ApiError.fromProblem(message.problem));
  }

  /** Looks at whether the storage answers, as long as anything is waited for. */
  private async watch(): Promise<void> {
    if (this.watching) return;
    this.watching = true;
    const late = (limit: number) => delay(limit, 'late' as const, { ref: false });
    if ((await Promise.race([this.ready, late(this.patience.start)])) === 'late')
      this.lose(this.away('The process that works on it does not start.'));
    while (this.end === undefined) {
      await delay(this.patience.between, undefined, { ref: false });
      if (this.waiting.size === 0) break;
      const answered = this.probe();
      if ((await Promise.race([answered, late(this.patience.answer)])) !== 'late') continue;
      this.lose(this.away(`It has not answered for ${this.patience.answer / 1000} seconds.`));
    }
    this.watching = false;
  }

  /** Resolves when the storage has answered, with an error too. */
  private probe(): Promise<unknown> {
    this.last += 1;
    const id = this.last;
    return new Promise((resolve) => {
      this.waiting.set(id, { resolve, reject: resolve, control: {} });
      this.send({ id, call: 'probe', takes: null });
    });
  }

  private lose(error: ApiError): void {
    if (this.end !== undefined) return;
    this.end = error;
    this.child.kill('SIGKILL');
    if (this.child.connected) this.child.disconnect();
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}
