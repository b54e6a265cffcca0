// SPDX-License-Identifier: Apache-2.0
// Network namespaces that stand for a guest or for the world outside, and processes in them.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import type { CommandRunner } from '../../src/agent/runner/command-runner.js';

/** A network namespace, which lives as long as the process that holds it. */
export class Namespace {
  private constructor(
    private readonly runner: CommandRunner,
    private readonly holder: ChildProcess,
  ) {}

  static async make(runner: CommandRunner): Promise<Namespace> {
    const holder = spawn('unshare', ['--net', 'sleep', '120'], { stdio: 'ignore' });
    await until(() => namespaceOf(holder.pid ?? 0) !== namespaceOf(process.pid));
    return new Namespace(runner, holder);
  }

  get pid(): number {
    return this.holder.pid ?? 0;
  }

  /** Runs a program in it to its end; answers what it printed. */
  async run(...words: string[]): Promise<string> {
    return (await this.runner.run('nsenter', this.entering(words))).stdout;
  }

  /** Starts a program in it. */
  spawn(...words: string[]): ChildProcess {
    return spawn('nsenter', this.entering(words), { stdio: ['ignore', 'pipe', 'ignore'] });
  }

  async end(): Promise<void> {
    if (this.holder.kill('SIGKILL')) await once(this.holder, 'exit');
  }

  private entering(words: readonly string[]): string[] {
    return ['--target', String(this.pid), '--net', ...words];
  }
}

export async function until(look: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 10_000; !(await look()); ) {
    if (Date.now() > deadline) throw new Error('Waited in vain');
    await pause(20);
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function namespaceOf(pid: number): string {
  return readlinkSync(`/proc/${pid}/ns/net`);
}
