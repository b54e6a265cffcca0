// SPDX-License-Identifier: Apache-2.0
/** Place at which a test lets the process die as `kill -9` would. Does nothing unless that very point is configured. */
export class FaultPoints {
  constructor(private readonly point: string | undefined) {}

  /** Right after step `name` (`<operation>.<step>`), before its record is written. */
  after(name: string): void {
    if (this.point === name) process.kill(process.pid, 'SIGKILL');
  }
}
