// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';

/** Longer than a disk takes that is awake and works. */
const ANSWER_MILLISECONDS = 10_000;

/**
 * A look at storage that may never answer, as when the server of a network file system is away. Whoever waits for it hears so in time,
 * and nobody begins another while one has not come back: each keeps one of the few threads that all files of the process share.
 */
export class StorageLook<T> {
  private current: { answer: Promise<T>; until: number } | undefined;

  constructor(
    private readonly what: string,
    private readonly look: () => Promise<T>,
    private readonly milliseconds = ANSWER_MILLISECONDS,
  ) {}

  run(): Promise<T> {
    this.current ??= this.begin();
    const { answer, until } = this.current;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(this.silent()), Math.max(0, until - performance.now()));
      answer.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  private begin(): { answer: Promise<T>; until: number } {
    const answer = this.look().finally(() => {
      this.current = undefined;
    });
    return { answer, until: performance.now() + this.milliseconds };
  }

  private silent(): ApiError {
    return new ApiError('pool.unavailable', {
      detail: `${this.what} does not answer: a look at it has taken longer than ${this.milliseconds / 1000} s.`,
      remedy: 'Look at the storage below it, as the server of a network file system, then refresh the pool.',
    });
  }
}
