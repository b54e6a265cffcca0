// SPDX-License-Identifier: Apache-2.0
// A conversation with a shell on a serial console.

import { Failure } from '../lib/failure.mjs';

/** What terminals are told besides text: colours, titles, bracketed paste. */
const ESCAPES = /\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()][A-Z0-9]|.)/g;

export class Dialog {
  #console;
  #bytes;
  #pending;
  #decoder = new TextDecoder();

  /** @param {import('@flotilla/sdk').Console} console */
  constructor(console) {
    this.#console = console;
    this.#bytes = console[Symbol.asyncIterator]();
  }

  /**
   * Reads until `pattern` has appeared; returns everything up to then, without terminal codes.
   * @param {RegExp} pattern
   * @param {{ seconds: number, hear?: (line: string) => void }} options `hear` gets the last line whenever there is news
   */
  async read(pattern, { seconds, hear = () => undefined }) {
    let text = '';
    const deadline = Date.now() + seconds * 1000;
    for (;;) {
      const plain = text.replace(ESCAPES, '').replaceAll('\r', '');
      if (pattern.test(plain)) return plain;
      hear(plain.trimEnd().split('\n').at(-1) ?? '');
      const next = await this.#next(deadline - Date.now());
      if (next === undefined) {
        throw new Failure(`The machine did not show ${pattern} within ${seconds} s. Its console ends with:\n${plain.slice(-2000)}`);
      }
      text += next;
    }
  }

  /** Runs a command line and returns what it printed. */
  async ask(command, seconds = 60) {
    // The echo of the command shows the sum unsolved, so only the shell's own answer matches.
    await this.#console.write(`${command}; echo answered-$((40 + 2))\n`);
    const heard = await this.read(/answered-42\n/, { seconds });
    const lines = heard.split('\n');
    const echo = lines.findLastIndex((line) => line.includes('echo answered-$(('));
    const end = lines.findIndex((line, index) => index > echo && line.includes('answered-42'));
    return lines
      .slice(echo + 1, end)
      .join('\n')
      .trim();
  }

  /** A read that ran out of time stays pending and is taken up by the next. */
  async #next(milliseconds) {
    this.#pending ??= this.#bytes.next();
    let timer;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, Math.max(0, milliseconds));
    });
    const result = await Promise.race([this.#pending, late]);
    clearTimeout(timer);
    if (result === undefined) return undefined;
    this.#pending = undefined;
    if (result.done) throw new Failure('The machine stopped before it answered', 'Its console: flotilla machine logs');
    return this.#decoder.decode(result.value, { stream: true });
  }
}
