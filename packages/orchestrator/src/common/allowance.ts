// SPDX-License-Identifier: Apache-2.0

/** Lets so many through at once, and over time so many a second. */
export class Allowance {
  private left: number;
  private at: number;

  constructor(
    private readonly atOnce: number,
    private readonly perSecond: number,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.left = atOnce;
    this.at = now();
  }

  /** Whether one more may pass now. */
  take(): boolean {
    const now = this.now();
    this.left = Math.min(this.atOnce, this.left + ((now - this.at) / 1000) * this.perSecond);
    this.at = now;
    if (this.left < 1) return false;
    this.left -= 1;
    return true;
  }
}
