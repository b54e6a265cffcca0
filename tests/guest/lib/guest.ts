// SPDX-License-Identifier: Apache-2.0
import type { Console, MachineHandle } from '@flotilla/sdk';

/** Everything is 25 times slower in the lab. Shorter than the limit of a test, whose error does not say what the console showed. */
const bootTimeoutMs = 120_000;
const commandTimeoutMs = 60_000;
let marks = 0;

/** A running guest with a root shell on its serial console. */
export class Guest {
  readonly machine: MachineHandle;
  readonly console: Console;

  private constructor(machine: MachineHandle, console: Console) {
    this.machine = machine;
    this.console = console;
  }

  /** Attaches and waits for the prompt, from the first byte the machine wrote. */
  static async attach(machine: MachineHandle, options: { readonly prompt?: RegExp; readonly offset?: number } = {}): Promise<Guest> {
    const console = await machine.console(options.offset === undefined ? {} : { offset: options.offset });
    const guest = new Guest(machine, console);
    await guest.prompt(options.prompt);
    return guest;
  }

  /** Attaches to a guest whose prompt came long ago. */
  static async reattach(machine: MachineHandle, offset: number): Promise<Guest> {
    return new Guest(machine, await machine.console({ offset }));
  }

  /** Reboots from within and waits for the next shell; what the old one printed is passed over. */
  async reboot(): Promise<void> {
    await this.type('reboot -f');
    await this.console.expect('flotilla-init ready', { timeoutMs: bootTimeoutMs });
    await this.prompt();
  }

  /** Waits for a shell prompt. What follows on its line may be a message of the kernel. */
  async prompt(prompt: RegExp = /# /): Promise<void> {
    await this.console.expect(prompt, { timeoutMs: bootTimeoutMs });
  }

  /** Runs a command and gives what it printed; a status other than 0 is an error. */
  async sh(command: string, timeoutMs: number = commandTimeoutMs): Promise<string> {
    marks += 1;
    const mark = `mark${marks}`;
    // Split in the text that is typed, so that its echo is not taken for its output.
    await this.console.write(`printf '<%s<\\n' ${mark}; ${command}; printf '\\n>%s:%d>\\n' ${mark} $?\n`);
    const end = new RegExp(`>${mark}:(\\d+)>`);
    const seen = await this.console.expect(end, { timeoutMs });
    const status = Number(end.exec(seen)?.[1]);
    const output = between(seen, `<${mark}<`, `>${mark}:`);
    if (status !== 0) throw new Error(`"${command}" ended with status ${status} in the guest: ${output}`);
    return output;
  }

  /** Types a command and does not wait for it, because the machine ends with it. */
  async type(command: string): Promise<void> {
    await this.console.write(`${command}\n`);
  }

  close(): void {
    this.console.close();
  }
}

/** What lies between two marks, without the carriage returns of the terminal. */
function between(text: string, start: string, end: string): string {
  return text
    .slice(text.lastIndexOf(start) + start.length, text.lastIndexOf(end))
    .replace(/\r/g, '')
    .trim();
}
