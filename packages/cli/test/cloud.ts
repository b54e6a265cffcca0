// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { headerOnlyElf } from './elf.js';

const cli = fileURLToPath(new URL('../src/main.js', import.meta.url));

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line with an orchestrator of its own on the fake hypervisor, in a temporary folder. */
export class Cloud {
  readonly folder = mkdtempSync(join(tmpdir(), 'flotilla-cli-'));
  /** Below the one folder that files may be imported from. */
  readonly kernel = join(this.folder, 'kernel.elf');
  readonly env: NodeJS.ProcessEnv = {
    ...process.env,
    FLOTILLA_HYPERVISOR: 'fake',
    FLOTILLA_DATA_DIR: join(this.folder, 'data'),
    FLOTILLA_RUNTIME_DIR: join(this.folder, 'run'),
    FLOTILLA_LISTEN: '127.0.0.1:0',
  };
  #up: ChildProcess | undefined;

  constructor() {
    delete this.env['FLOTILLA_URL'];
    delete this.env['FLOTILLA_API_KEY'];
    writeFileSync(this.kernel, headerOnlyElf());
  }

  async start(...options: string[]): Promise<void> {
    this.#up = await this.up(['--import-root', this.folder, ...options]);
  }

  /** `flotilla up` until it listens, leading a process group of its own if `detached`. Its end is the caller's business. */
  async up(options: readonly string[], env: NodeJS.ProcessEnv = {}, detached = false): Promise<ChildProcess> {
    const child = this.spawn(['up', ...options], env, detached);
    child.stderr?.resume();
    for await (const chunk of child.stdout ?? []) {
      if (String(chunk).includes('listening on')) return child;
    }
    throw new Error(`flotilla up ${options.join(' ')} ended before it listened`);
  }

  async stop(): Promise<void> {
    if (this.#up !== undefined) await end(this.#up);
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs a command to its end. */
  readonly flotilla = (...args: string[]): Promise<Outcome> => this.run(args);

  run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
    return new Promise((resolve) => {
      execFile(process.execPath, [cli, ...args], { env: { ...this.env, ...env } }, (error, stdout, stderr) => {
        resolve({ status: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
      });
    });
  }

  /** What a command that must succeed prints as JSON. */
  async json<T>(...args: string[]): Promise<T> {
    const { status, stdout, stderr } = await this.run(['-o', 'json', ...args]);
    if (status !== 0) throw new Error(`flotilla ${args.join(' ')} ended with ${status}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** Starts a command that somebody talks to or ends. */
  spawn(args: readonly string[], env: NodeJS.ProcessEnv = {}, detached = false): ChildProcess {
    return spawn(process.execPath, [cli, ...args], { env: { ...this.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'], detached });
  }

  /** A shell's way to `flotilla`: a folder for the PATH. */
  binFolder(): string {
    writeFileSync(join(this.folder, 'flotilla'), `#!/bin/sh\nexec '${process.execPath}' '${cli}' "$@"\n`, { mode: 0o755 });
    return this.folder;
  }
}

/** Ends a process in order and gives its status. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  const ended = once(child, 'exit') as Promise<[number | null]>;
  child.kill(signal);
  return (await ended)[0];
}

/** Reads a stream until it has shown `text`; gives all of it so far. */
export async function shows(stream: NodeJS.ReadableStream | null, text: string): Promise<string> {
  let seen = '';
  return new Promise((resolve, reject) => {
    stream?.on('data', (chunk: Buffer) => {
      seen += String(chunk);
      if (seen.includes(text)) resolve(seen);
    });
    stream?.on('end', () => reject(new Error(`The end came before "${text}": ${seen}`)));
  });
}

/** Asks again until the answer is right. */
export async function eventually<T>(ask: () => Promise<T>, right: (answer: T) => boolean): Promise<T> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const answer = await ask();
    if (right(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`Still ${JSON.stringify(answer)} after 20 s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
