// SPDX-License-Identifier: Apache-2.0
import { type Console, ConnectionError, type ConsoleOptions, type MachineHandle } from '@flotilla/sdk';
import { say } from '../output/render.js';
import { comeBack } from './come-back.js';

/** ^], as virsh and telnet use it. */
const escapeByte = 0x1d;

/**
 * Joins the terminal to the console of a machine until ^] or the end of the machine. A connection that breaks is made again where it
 * was, as long as the machine has not ended meanwhile. The terminal is always given back as it was.
 */
export async function attachConsole(machine: MachineHandle, options: ConsoleOptions): Promise<void> {
  const terminal = process.stdin;
  const left = new AbortController();
  let console = await machine.console(options);
  say(`Connected to ${machine.name}. ^] leaves the console.`);
  const leave = (): void => {
    left.abort();
    console.close();
  };
  const onInput = (bytes: Buffer): void => {
    const end = bytes.indexOf(escapeByte);
    const typed = end < 0 ? bytes : bytes.subarray(0, end);
    if (options.write !== false && typed.length > 0) void console.write(typed);
    if (end >= 0) leave();
  };
  const tellSize = (): void => {
    const { columns, rows } = process.stdout;
    // A terminal that does not know how large it is tells nothing, or 0.
    if (options.write !== false && process.stdout.isTTY && columns > 0 && rows > 0) void console.resize(columns, rows);
  };
  if (terminal.isTTY) terminal.setRawMode(true);
  terminal.on('data', onInput);
  process.stdout.on('resize', tellSize);
  tellSize();
  // Input that ends (`echo uname | flotilla machine console m`) leaves the output running until ^C or the end of the machine.
  process.once('SIGTERM', leave);
  process.once('SIGINT', leave);
  try {
    for (;;) {
      await show(console);
      const again = left.signal.aborted ? undefined : await comeBack(machine, { ...options, offset: console.offset }, left.signal);
      if (again === undefined) return;
      console = again;
      tellSize();
    }
  } finally {
    terminal.off('data', onInput);
    process.stdout.off('resize', tellSize);
    if (terminal.isTTY) terminal.setRawMode(false);
    terminal.pause();
    say(`\nLeft the console of ${machine.name} at offset ${console.offset}.`);
  }
}

/** Shows what comes until the connection has ended, in order or not. */
async function show(console: Console): Promise<void> {
  try {
    for await (const bytes of console) {
      if (!process.stdout.write(bytes)) await new Promise((resolve) => process.stdout.once('drain', resolve));
    }
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
  }
}
