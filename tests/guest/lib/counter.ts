// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { MachineHandle } from '@flotilla/sdk';
import type { Guest } from './guest.js';
import { waitLimitMs } from './limits.js';

/** A guest that numbers the lines it prints, and all it has printed so far: a byte lost, doubled or moved breaks the row. */
export class Counter {
  #guest: Guest;
  #text = '';

  private constructor(guest: Guest) {
    this.#guest = guest;
  }

  /** Starts a loop in the guest's shell that prints ten numbers a second, for ever; without new processes, which cost the lab most. */
  static async start(guest: Guest): Promise<Counter> {
    const counter = new Counter(guest);
    await guest.type(`n=0; printf '<%s<\\n' count; while :; do n=$((n+1)); echo "n$n;"; read -t 0.1 _; done`);
    const seen = await guest.console.expect('<count<\r\n', { timeoutMs: waitLimitMs });
    counter.#text = seen.slice(seen.indexOf('<count<\r\n') + '<count<\r\n'.length);
    return counter;
  }

  /** The number of the last whole line read. */
  get last(): number {
    return this.#text.split('\n').length - 1;
  }

  /** Goes on with another attachment to the same console, which must begin where the one before ended. */
  goOn(guest: Guest): void {
    expect(guest.console.offset, 'the offset asked for').to.equal(this.#guest.console.offset);
    this.#guest = guest;
  }

  /** Reads at least `lines` more lines; all lines so far must be one row of numbers, without gap or repeat. */
  async read(lines: number): Promise<void> {
    this.#text += await this.#guest.console.expect(new RegExp(`(?:[^\\n]*\\n){${lines}}`), { timeoutMs: waitLimitMs });
    const row = Array.from({ length: this.last }, (_, index) => `n${index + 1};\r\n`).join('');
    expect(this.#text.slice(0, this.#text.lastIndexOf('\n') + 1)).to.equal(row);
  }

  /** Reads on until the row is well beyond `number`. */
  async readBeyond(number: number): Promise<void> {
    await this.read(number - this.last + 5);
  }

  /** Interrupts the loop and waits for the shell. */
  async stop(): Promise<void> {
    await this.#guest.console.write('\u0003');
    await this.#guest.prompt();
  }
}

/** The last number that the log of a machine shows, which needs nobody attached. */
export async function printedNumber(machine: MachineHandle): Promise<number> {
  const log = await machine.logs({ tailBytes: 1000 });
  return Number(/n(\d+);[^;]*$/.exec(log)?.[1]);
}
