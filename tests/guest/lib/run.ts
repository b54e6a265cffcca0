// SPDX-License-Identifier: Apache-2.0
// `flotilla-vmm run`, as a person or a script starts it: no Node, no orchestrator. Its terminal is a pair of pipes.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolveWorkerPath } from '@flotilla/native';
import { builtImages } from './images.js';
import { bootLimitMs } from './limits.js';
import { written } from './output.js';

/** How it ended. */
export interface RunEnd {
  /** Undefined when a signal ended it. */
  readonly status: number | undefined;
  /** What the guest wrote on its serial port, and nothing else. */
  readonly output: string;
  /** What `flotilla-vmm` said. */
  readonly said: string;
}

/** A test that fails half way leaves its machine; the run must end all the same. */
const running = new Set<ChildProcess>();
after(() => {
  for (const child of running) child.kill('SIGKILL');
});

/** A machine with the small guest on the terminal. */
export class Run {
  readonly #process: ChildProcess;
  #output = '';
  #said = '';
  #lines = 0;

  private constructor(process: ChildProcess) {
    this.#process = process;
    process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
  }

  /** Starts it with the small guest, whose kernel may be another file, and what the kernel is told besides. */
  static start(commandLine: string, flags: readonly string[] = [], kernel: string = builtImages().kernel.vmlinux): Run {
    const { initramfs } = builtImages().initramfs;
    const guest = ['--kernel', kernel, '--initrd', initramfs, '--cmdline', `console=ttyS0 quiet ${commandLine}`];
    if (!flags.includes('--memory')) guest.push('--memory', '128M');
    const child = spawn(resolveWorkerPath(), ['run', ...guest, ...flags]);
    running.add(child);
    child.once('exit', () => running.delete(child));
    return new Run(child);
  }

  /** Waits until the guest has written `pattern`. */
  async shows(pattern: RegExp): Promise<void> {
    await written(pattern, () => {
      if (this.#process.exitCode !== null && !pattern.test(this.#output)) throw new Error(`It ended before: ${this.#said}`);
      return this.#output;
    });
  }

  /** Runs a line in its shell and answers what that printed. The words around it are put together by the guest, since what is typed is echoed. */
  async sh(line: string): Promise<string> {
    this.#lines += 1;
    const number = this.#lines;
    // What the line prints last may not end its own line.
    this.type(`echo "begin"${number}; ${line}; echo; echo "end"${number}\n`);
    await this.shows(new RegExp(`^end${number}\\r?$`, 'm'));
    const [, answer = ''] = new RegExp(`^begin${number}\\r?\\n([\\s\\S]*?)^end${number}\\r?$`, 'm').exec(this.#output) ?? [];
    return answer.replaceAll('\r', '').trim();
  }

  /** Process id of the machine. */
  get pid(): number {
    return this.#process.pid ?? 0;
  }

  type(text: string): void {
    this.#process.stdin?.write(text);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Waits for its end; it is killed when it takes too long, and then has no status. */
  async end(): Promise<RunEnd> {
    const late = setTimeout(() => this.#process.kill('SIGKILL'), bootLimitMs);
    const [status] = (await once(this.#process, 'close')) as [number | null];
    clearTimeout(late);
    return { status: status ?? undefined, output: this.#output, said: this.#said };
  }
}
