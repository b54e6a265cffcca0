// SPDX-License-Identifier: Apache-2.0
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { syncDirectory } from '../../files/durable.js';

/** So many days what was set aside is kept. */
export const KEPT_DAYS = 30;
export const KEPT_MILLISECONDS = KEPT_DAYS * 86_400_000;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/**
 * Whole files that no stored resource names, as after an older backup of the database was put back. They may be the only copy of
 * somebody's data, so they are not deleted but moved to `<time of the collection>/<kind>/`, where a person can take them from.
 */
export class SetAside {
  constructor(private readonly directory: string) {}

  /** Moves a file into the folder of a collection (an ISO time); answers where it is now. */
  async take(path: string, kind: string, collection: string): Promise<string> {
    const folder = join(this.directory, collection, kind);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const target = join(folder, basename(path));
    await rename(path, target);
    await syncDirectory(folder);
    return target;
  }

  /** Removes what was kept long enough; answers what. A folder that is not named by a time is somebody else's. */
  async expire(now: number): Promise<string[]> {
    const removed: string[] = [];
    for (const name of await this.collections()) {
      if (now - Date.parse(name) < KEPT_MILLISECONDS) continue;
      await rm(join(this.directory, name), { recursive: true, force: true });
      removed.push(join(this.directory, name));
    }
    return removed;
  }

  /** Every file that is kept here. */
  async files(): Promise<string[]> {
    const entries = await readdir(this.directory, { recursive: true, withFileTypes: true }).catch(() => []);
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  }

  private async collections(): Promise<string[]> {
    return (await readdir(this.directory).catch(() => [])).filter((name) => TIME.test(name));
  }
}
