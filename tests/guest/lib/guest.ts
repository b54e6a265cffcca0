// SPDX-License-Identifier: Apache-2.0
import type { Console, MachineHandle } from '@flotilla/sdk';
import { expect } from 'chai';
import { bootLimitMs, waitLimitMs } from './limits.js';

let marks = 0;

/** What one needs to know of a guest to use it. */
export interface GuestKind {
  /** The prompt of its root shell. */
  readonly prompt: RegExp;
  /** Restarts it, and shows no prompt before it is up again. */
  readonly reboot: string;
}

const small: GuestKind = { prompt: /# /, reboot: 'reboot -f' };
/** Systemd ends what runs in the shell while it goes down; a shell would then ask for the next command. */
export const debian: GuestKind = { prompt: /root@\S+:\S+# /, reboot: 'systemctl reboot; exec sleep infinity' };

/** A running guest with a root shell on its serial console. */
export class Guest {
  readonly machine: MachineHandle;
  readonly console: Console;
  readonly #kind: GuestKind;

  private constructor(machine: MachineHandle, console: Console, kind: GuestKind) {
    this.machine = machine;
    this.console = console;
    this.#kind = kind;
  }

  /** Attaches and waits for the prompt, from the first byte the machine wrote. */
  static async attach(machine: MachineHandle, kind: GuestKind = small): Promise<Guest> {
    const guest = new Guest(machine, await machine.console(), kind);
    await guest.prompt();
    return guest;
  }

  /** Attaches to a guest whose prompt came long ago. */
  static async reattach(machine: MachineHandle, offset: number): Promise<Guest> {
    return new Guest(machine, await machine.console({ offset }), small);
  }

  /** Reboots from within and waits for the next shell, which must be that of another boot. */
  async reboot(): Promise<void> {
    const before = await this.bootId();
    await this.prompt();
    await this.type(this.#kind.reboot);
    await this.prompt();
    expect(await this.bootId()).not.to.equal(before);
  }

  /** What the kernel calls its time since it started. */
  bootId(): Promise<string> {
    return this.sh('read -r id < /proc/sys/kernel/random/boot_id && echo $id');
  }

  /** Waits for a shell prompt. What follows on its line may be a message of the kernel. */
  async prompt(prompt: RegExp = this.#kind.prompt): Promise<void> {
    await this.console.expect(prompt, { timeoutMs: bootLimitMs });
  }

  /** Runs a command and gives what it printed; a status other than 0 is an error. */
  async sh(command: string, timeoutMs: number = waitLimitMs): Promise<string> {
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
