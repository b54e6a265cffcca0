// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync } from 'node:fs';
import { mkdir, readlink, symlink, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type Mounted, MountRefused, Mounts, type WantedMount } from '../nfs/mounts.js';

/** Mounts that are symbolic links, to directories named by what is mounted. A server without such a directory is away. */
export class FakeMounts extends Mounts {
  constructor(private readonly exports: string) {
    super();
    mkdirSync(exports, { recursive: true, mode: 0o700 });
  }

  override async find(point: string): Promise<Mounted | undefined> {
    const target = await readlink(point).catch(() => undefined);
    return target === undefined ? undefined : { source: decodeURIComponent(basename(target)), directory: target };
  }

  override async mount({ source, point }: WantedMount): Promise<void> {
    const target = join(this.exports, encodeURIComponent(source));
    if (!existsSync(target)) throw new MountRefused('refused', 'Connection refused');
    await mkdir(dirname(point), { recursive: true });
    await symlink(target, point);
  }

  override async unmount(point: string): Promise<void> {
    if ((await this.find(point)) !== undefined) await unlink(point);
  }
}
