// SPDX-License-Identifier: Apache-2.0
// Labs that count instructions: in QEMU 7.2 some of them hang, a few at their start, and some break a guest (docs/notes/lab.md). So each measurement has one
// of its own, and is made again in a new one when that happens. Such a lab has given no figure, so nothing is chosen by that.
import { Failure } from '../../scripts/lib/failure.mjs';
import { DEAD, HUNG } from './lost.mjs';

/** How often one measurement is made again at most. */
export const MOST_REPEATS = 4;

/** A lab may take so many times as long as the slowest before it, and at least so many seconds: the host has other things to do too. */
const PATIENCE = 3;
const LEAST_LIMIT = 20;

export class CountingLabs {
  /** Labs that were started; those of them that hung, those that broke their guest, and those that failed themselves. */
  started = 0;
  hung = 0;
  broke = 0;
  dead = 0;
  #slowest = 0;

  /**
   * @param {number} fullLimit seconds that a lab may take at least of which nothing is known yet, or which is a repeat: so a host that has
   *   become slow is not taken for a lab that hangs
   * @param {(line: string) => void} say
   */
  constructor(fullLimit, say) {
    this.fullLimit = fullLimit;
    this.say = say;
  }

  /**
   * @template T
   * @param {string} what is measured, for people
   * @param {(limit: number) => { seconds: number, result: T } | { failed: string }} run runs it in a new lab of at most `limit` seconds
   * @returns {T}
   */
  measure(what, run) {
    for (let repeat = 1; ; repeat++) {
      this.started += 1;
      const { failed, seconds, result } = run(this.#limit(repeat > 1));
      if (failed === undefined) {
        this.#slowest = Math.max(this.#slowest, seconds);
        return result;
      }
      if (failed === HUNG) this.hung += 1;
      else if (failed === DEAD) this.dead += 1;
      else this.broke += 1;
      if (repeat > MOST_REPEATS) throw givenUp(what, failed);
      this.say(`${what}: ${failed}, again (${repeat})`);
    }
  }

  #limit(isRepeat) {
    const known = Math.max(LEAST_LIMIT, Math.ceil(PATIENCE * this.#slowest));
    return this.#slowest === 0 || isRepeat ? Math.max(this.fullLimit, known) : known;
  }
}

function givenUp(what, failed) {
  return new Failure(
    `${what}: ${MOST_REPEATS + 1} labs that count instructions gave no figure, the last because: ${failed}`,
    'Look whether the host is busy and run it again, or measure by the clock of the host: npm run bench -- --clock host',
  );
}
