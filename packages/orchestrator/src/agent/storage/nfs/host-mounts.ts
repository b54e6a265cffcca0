// SPDX-License-Identifier: Apache-2.0
import { mkdir, readFile, rmdir } from 'node:fs/promises';
import { ApiError } from '../../../common/api-error.js';
import type { CommandResult, CommandRunner } from '../../runner/command-runner.js';
import { mountedAt } from './mount-table.js';
import { type Mounted, MountRefused, Mounts, type WantedMount } from './mounts.js';
import { systemCode } from '../../../common/system-code.js';

const MOUNT_MILLISECONDS = 20_000;
/** For what the host has not yet written to the server. */
const SYNC_MILLISECONDS = 60_000;
const UNMOUNT_MILLISECONDS = 10_000;
/** Every status is looked at here. */
const ANY_STATUS = Array.from({ length: 255 }, (_, index) => index + 1);

/** Mounts of this host, made by the programs that everybody makes them by. */
export class HostMounts extends Mounts {
  constructor(private readonly runner: CommandRunner) {
    super();
  }

  override async find(point: string): Promise<Mounted | undefined> {
    return mountedAt(await readFile('/proc/self/mountinfo', 'utf8'), point);
  }

  override async mount({ source, point, options }: WantedMount): Promise<void> {
    await mkdir(point, { recursive: true, mode: 0o700 });
    // Not by `mount`, which starts another program that would go on when it is killed. `-n`: there is no list but the kernel's.
    const { status, stderr } = await this.run('mount.nfs', [source, point, '-n', '-o', options.join(',')], MOUNT_MILLISECONDS);
    if (status !== 0) throw new MountRefused('refused', said(stderr, status));
  }

  override async unmount(point: string, force: boolean): Promise<void> {
    if ((await this.find(point)) !== undefined) {
      if (!force) await this.sync(point);
      // `-i`, `-c`: without the program that asks the server, and without a look at the path; both could wait for it.
      const { status, stderr } = await this.run('umount', ['-i', '-c', ...(force ? ['-f', '-l'] : []), point], UNMOUNT_MILLISECONDS).catch(
        async (error: unknown) => {
          // It is off the path at once; what is left of it may wait for the server.
          if ((await this.find(point)) === undefined) return { status: 0, stderr: '' };
          throw error;
        },
      );
      if (status !== 0) throw new MountRefused(/busy/.test(stderr) ? 'busy' : 'refused', said(stderr, status));
    }
    await rmdir(point).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error;
    });
  }

  /** What is written is not lost because the server happens to be away: then it stays mounted. */
  private async sync(point: string): Promise<void> {
    const { status, stderr } = await this.run('sync', ['-f', point], SYNC_MILLISECONDS);
    if (status !== 0) throw new MountRefused('no-answer', said(stderr, status));
  }

  private async run(program: string, args: readonly string[], timeoutMilliseconds: number): Promise<CommandResult> {
    try {
      return await this.runner.run(program, args, { timeoutMilliseconds, accept: ANY_STATUS });
    } catch (error) {
      const missing = systemCode(ApiError.from(error).cause) === 'ENOENT';
      throw missing
        ? new MountRefused('missing-program', `the program ${program} is not installed`)
        : new MountRefused('no-answer', `${program} did not end within ${timeoutMilliseconds / 1000} seconds`);
    }
  }
}

/** The last line that a program wrote, without its name. */
function said(stderr: string, status: number): string {
  const line = stderr.trim().split('\n').at(-1)?.replace(/\.$/, '') ?? '';
  return line === '' ? `it ended with status ${status}` : line.slice(0, 500);
}
