// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from 'node:timers/promises';

/** Waits; rejects with the reason of the signal when it is aborted. */
export async function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, signal === undefined ? {} : { signal });
}

/** Bounds of the waits of `untilDone`, milliseconds. */
const RETRY = { first: 200, most: 10_000 };

/** Does something until it succeeds, with waits that double; rejects when the signal is aborted. */
export async function untilDone<T>(
  attempt: () => Promise<T>,
  signal: AbortSignal,
  failed: (error: unknown) => void,
  { first, most } = RETRY,
): Promise<T> {
  for (let wait = first; ; wait = Math.min(most, wait * 2)) {
    signal.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      failed(error);
    }
    await sleep(wait, signal);
  }
}

/** Lets at most `limit` tasks run at once; the others wait in order. */
export class Semaphore {
  private readonly waiting: (() => void)[] = [];
  private running = 0;

  constructor(private readonly limit: number) {}

  /** Rejects with the reason of the signal when it is aborted before the task has begun. */
  async run<T>(task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.enter(signal);
    try {
      return await task();
    } finally {
      this.leave();
    }
  }

  /** To be called by a task: others have its place while it waits for something that takes no work. */
  async aside<T>(wait: () => Promise<T>): Promise<T> {
    this.leave();
    try {
      return await wait();
    } finally {
      await this.enter();
    }
  }

  private async enter(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.running >= this.limit) await this.wait(signal);
    else this.running += 1;
  }

  private wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal?.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = () => {
        this.waiting.splice(this.waiting.indexOf(enter), 1);
        reject(signal?.reason as Error);
      };
      this.waiting.push(enter);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }

  private leave(): void {
    const next = this.waiting.shift();
    if (next === undefined) this.running -= 1;
    else next();
  }
}

/** Runs the tasks of one key after another; tasks of different keys run side by side. */
export class KeyedQueue {
  private readonly tails = new Map<string, Promise<unknown>>();

  run<T>(key: string, task: () => Promise<T>): Promise<T> {
    const before = this.tails.get(key) ?? Promise.resolve();
    const result = before.then(task, task);
    const tail = result
      .catch(() => undefined)
      .finally(() => {
        if (this.tails.get(key) === tail) this.tails.delete(key);
      });
    this.tails.set(key, tail);
    return result;
  }
}

/** Whoever asks for what is being asked for already has a part in the answer. */
export class Joined<T> {
  private readonly asked = new Map<string, Promise<T>>();

  run(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.asked.get(key);
    if (known !== undefined) return known;
    const answer = ask().finally(() => this.asked.delete(key));
    this.asked.set(key, answer);
    return answer;
  }
}

/** Runs a job on demand and never twice at once; a demand during a run leads to one more run. */
export class Coalesced {
  private current: Promise<void> | undefined;
  private again = false;
  private closed = false;

  constructor(private readonly job: () => Promise<void>) {}

  async trigger(): Promise<void> {
    if (this.closed) return;
    if (this.current !== undefined) {
      this.again = true;
      return this.current;
    }
    this.current = this.loop();
    try {
      await this.current;
    } finally {
      this.current = undefined;
    }
  }

  /** Begins no more runs; resolves when none is under way. How the last one ended is for who asked for it. */
  async close(): Promise<void> {
    this.closed = true;
    await this.current?.catch(() => undefined);
  }

  private async loop(): Promise<void> {
    do {
      this.again = false;
      await this.job();
    } while (this.again && !this.closed);
  }
}

/** Hands bytes of a source on, and pauses the source while more than `limit` of them have not been taken: memory stays bounded. */
export function bounded<T extends { readonly length: number } = Uint8Array>(
  source: { pause(): unknown; resume(): unknown },
  limit: number,
  take: (bytes: T) => Promise<void>,
): (bytes: T) => Promise<void> {
  let waiting = 0;
  return async (bytes) => {
    waiting += bytes.length;
    if (waiting > limit) source.pause();
    try {
      await take(bytes);
    } finally {
      waiting -= bytes.length;
      if (waiting <= limit) source.resume();
    }
  };
}
