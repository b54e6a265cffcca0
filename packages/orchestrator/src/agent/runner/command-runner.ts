// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { ApiError } from '../../common/api-error.js';
import type { Log } from '../../common/log.js';

const DEFAULT_TIMEOUT_MILLISECONDS = 15_000;
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What a program answered. */
export interface CommandResult {
  status: number;
  stdout: string;
  stderr: string;
}

export interface CommandOptions {
  input?: string;
  timeoutMilliseconds?: number;
  /** How a program is ended that takes longer; the default, SIGKILL, leaves it no time to finish what others wait for. */
  endBy?: NodeJS.Signals;
  /** Told of a program that has taken longer: when it is gone at last. */
  onLate?: (gone: Promise<void>) => void;
  /** Variables of its environment, beside those that all have. */
  env?: Readonly<Record<string, string>>;
  /** Exit statuses that are no error, beside 0. */
  accept?: readonly number[];
  /** Kills the program. */
  signal?: AbortSignal;
}

/** The one place that starts system programs: an argument vector, never a shell; a time limit; stderr kept for the error. */
export class CommandRunner {
  constructor(private readonly log: Log) {}

  async run(program: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const started = performance.now();
    const result = await this.execute(program, args, options);
    this.log.debug({ program, args, status: result.status, milliseconds: Math.round(performance.now() - started) }, 'ran a program');
    if (result.status === 0 || options.accept?.includes(result.status) === true) return result;
    throw commandFailed(program, args, `it ended with status ${result.status}: ${result.stderr.trim().slice(0, 2000)}`);
  }

  private execute(program: string, args: readonly string[], options: CommandOptions): Promise<CommandResult> {
    return new Promise((resolve, reject) => {
      const child = spawn(program, [...args], {
        env: { PATH, LC_ALL: 'C', ...options.env },
        stdio: ['pipe', 'pipe', 'pipe'],
        shell: false,
      });
      const output = { stdout: '', stderr: '' };
      const timer = setTimeout(() => {
        options.onLate?.(new Promise((gone) => child.once('close', () => gone())));
        child.kill(options.endBy ?? 'SIGKILL');
        reject(commandFailed(program, args, 'it did not end in time'));
      }, options.timeoutMilliseconds ?? DEFAULT_TIMEOUT_MILLISECONDS);
      for (const name of ['stdout', 'stderr'] as const) {
        child[name].setEncoding('utf8').on('data', (text: string) => {
          if (output[name].length < MAX_OUTPUT_BYTES) output[name] += text;
        });
      }
      const abort = () => child.kill('SIGKILL');
      options.signal?.addEventListener('abort', abort);
      if (options.signal?.aborted === true) abort();
      child.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        reject(error.code === 'ENOENT' ? commandFailed(program, args, 'it is not installed', error) : error);
      });
      child.on('close', (status) => {
        clearTimeout(timer);
        options.signal?.removeEventListener('abort', abort);
        resolve({ status: status ?? -1, ...output });
      });
      child.stdin.on('error', () => undefined); // a program may end before it has read everything
      child.stdin.end(options.input ?? '');
    });
  }
}

function commandFailed(program: string, args: readonly string[], why: string, cause?: Error): ApiError {
  return new ApiError('host.command_failed', {
    detail: `The program "${[program, ...args].join(' ').slice(0, 500)}" failed: ${why}.`,
    remedy: `Run \`flotilla doctor\`; it tells which programs are missing. Then try again.`,
    cause,
  });
}
