// SPDX-License-Identifier: Apache-2.0
import type { ConsoleOptions, MachineHandle } from '@flotilla/sdk';
import { say } from '../output/render.js';

/** ^], as virsh and telnet use it. */
const escapeByte = 0x1d;

/** Joins the terminal to the console of a machine until ^] or the end of the machine. The terminal is always given back as it was. */
export async function attachConsole(machine: MachineHandle, options: ConsoleOptions): Promise<void> {
  const terminal = process.stdin;
  const console = await machine.console(options);
  say(`Connected to ${machine.name}. ^] leaves the console.`);
  const onInput = (bytes: Buffer): void => {
    const leave = bytes.indexOf(escapeByte);
    const typed = leave < 0 ? bytes : bytes.subarray(0, leave);
    if (options.write !== false && typed.length > 0) void console.write(typed);
    if (leave >= 0) console.close();
  };
  if (terminal.isTTY) terminal.setRawMode(true);
  terminal.on('data', onInput);
  // Input that ends (`echo uname | flotilla machine console m`) leaves the output running until ^C or the end of the machine.
  const onSignal = (): void => console.close();
  process.once('SIGTERM', onSignal);
  process.once('SIGINT', onSignal);
  try {
    for await (const bytes of console) {
      if (!process.stdout.write(bytes)) await new Promise((resolve) => process.stdout.once('drain', resolve));
    }
  } finally {
    terminal.off('data', onInput);
    if (terminal.isTTY) terminal.setRawMode(false);
    terminal.pause();
    say(`\nLeft the console of ${machine.name} at offset ${console.offset}.`);
  }
}
