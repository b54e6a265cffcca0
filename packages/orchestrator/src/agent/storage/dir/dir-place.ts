// SPDX-License-Identifier: Apache-2.0
import type { Dirent, Stats } from 'node:fs';
import { lstat, mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ApiError } from '../../../common/api-error.js';
import { isBelow } from '../../../common/shared-folder.js';
import { makeWhole, PARTIAL_SUFFIX, syncDirectory } from '../../files/durable.js';
import { StorageLook } from '../storage-look.js';
import { isHalfMade, isMissing } from './volume-files.js';
import { systemCode } from '../../../common/system-code.js';

/** The file that says whose a directory is. */
export const MARK = '.flotilla-pool';
/** A file that is copied to see whether the file system shares content. */
export const PROBE = `.flotilla-probe${PARTIAL_SUFFIX}`;
const NEEDED = ['images', 'volumes'] as const;
const FOLDERS = [...NEEDED, 'set-aside'] as const;
/** What may be in a directory before it becomes a pool. */
const NO_CONTENT = ['lost+found', `${MARK}${PARTIAL_SUFFIX}`];

/** What the mark says. */
interface Mark {
  pool: string;
  /** The directory was made with the pool, and goes with it. */
  made: boolean;
}

/** Where pools may be. */
export interface PlaceRules {
  /** Directories below which pools may be; none: anywhere. */
  roots: readonly string[];
  /** The data directory, which has a pool of its own. */
  reserved?: string;
  /** The field of a definition that says where it is. */
  field: string;
  /** How a person knows the place, where that is not its path. */
  known?: string;
  /** What to do when the mark is not there. */
  remedy: string;
}

/**
 * The directory of a pool. A mark in it says so, and only by that mark is it used: a file system that is not mounted leaves an empty
 * directory, which must not be filled, and a directory of somebody else must not be cleaned.
 */
export class DirPlace {
  private readonly marks: StorageLook<Mark | undefined>;

  constructor(
    readonly path: string,
    private readonly pool: string,
    private readonly rules: PlaceRules,
  ) {
    this.marks = new StorageLook(rules.known ?? path, () => this.readMark());
  }

  /** Takes a directory that is empty, or makes one. Made whole under another name, so that a kill leaves it or nothing. */
  async make(): Promise<void> {
    if ((await this.marks.run())?.pool === this.pool) return this.makeFolders(this.path);
    await this.requireAllowed();
    const found = await facts(this.path);
    if (found === undefined) return this.makeDirectory();
    if (!found.isDirectory()) throw this.invalid(`${this.known} is no directory.`, 'Give the path of a directory, not of a link or file.');
    const content = (await readdir(this.path)).filter((name) => !NO_CONTENT.includes(name));
    if (content.length > 0) throw this.taken(`${this.known} is not empty: it has ${JSON.stringify(content[0])}, for one.`);
    await this.writeMark(this.path, false);
    await this.makeFolders(this.path);
  }

  /** Fails unless the directory bears the mark of this pool, and has its folders. */
  async require(): Promise<void> {
    const mark = await this.marks.run().catch((error: unknown) => {
      if (error instanceof ApiError) throw error;
      throw new ApiError('pool.unavailable', {
        detail: `${this.known} cannot be read: ${String(error)}.`,
        remedy: this.rules.remedy,
        cause: error,
      });
    });
    if (mark?.pool === this.pool) return this.requireFolders();
    throw new ApiError('pool.unavailable', {
      detail:
        mark === undefined
          ? `${this.known} lacks the file ${MARK} of this storage pool.`
          : `${this.known} belongs to the storage pool ${mark.pool} and not to this one.`,
      remedy: this.rules.remedy,
    });
  }

  /** Takes away what `make` made, the mark last; what others have put there stays, and so does their directory. */
  async remove(): Promise<void> {
    const answer = await this.marks.run().catch(() => 'silent' as const);
    if (answer === 'silent') return; // nothing can be done there
    if (await isDirectory(dirname(this.path))) await rm(this.staged, { recursive: true, force: true });
    if (answer?.pool !== this.pool) return;
    await this.requireNoVolumes();
    const ours: string[] = [...FOLDERS, PROBE, MARK];
    const others = (await readdir(this.path)).filter((name) => !ours.includes(name));
    if (answer.made && others.length === 0) {
      await rename(this.path, this.staged);
      await rm(this.staged, { recursive: true, force: true });
    } else {
      for (const name of ours) await rm(join(this.path, name), { recursive: true, force: true });
    }
  }

  /** Where the directory is until it is whole, and when it goes. */
  private get staged(): string {
    return join(dirname(this.path), `.${basename(this.path).slice(0, 200)}.${this.pool}${PARTIAL_SUFFIX}`);
  }

  private async makeDirectory(): Promise<void> {
    await rm(this.staged, { recursive: true, force: true });
    await mkdir(this.staged, { mode: 0o700 }).catch((error: unknown) => {
      throw this.invalid(`${this.path} cannot be made: ${String(error)}.`, 'Make the directory yourself, and leave it empty.');
    });
    await this.makeFolders(this.staged);
    await this.writeMark(this.staged, true);
    await rename(this.staged, this.path).catch(() => {
      throw this.taken(`Somebody else has made ${this.path} meanwhile.`);
    });
    await syncDirectory(dirname(this.path));
  }

  /** They are not made again: volumes that were in one are missed sooner so. */
  private async requireFolders(): Promise<void> {
    for (const name of NEEDED) {
      const folder = join(this.path, name);
      if (await isDirectory(folder)) continue;
      throw new ApiError('pool.unavailable', {
        detail: `The storage pool has lost its folder ${folder}.`,
        remedy: 'Bring it back with what was in it, or make an empty one, then refresh the pool.',
      });
    }
  }

  private async makeFolders(directory: string): Promise<void> {
    for (const name of NEEDED) await mkdir(join(directory, name), { recursive: true, mode: 0o700 });
  }

  private writeMark(directory: string, made: boolean): Promise<void> {
    const mark: Mark = { pool: this.pool, made };
    return makeWhole(join(directory, MARK), (temporary) => writeFile(temporary, `${JSON.stringify(mark)}\n`, { mode: 0o600 }));
  }

  /** Comes before all else that is done there: storage that does not answer is told by it. */
  private async readMark(): Promise<Mark | undefined> {
    const text = await readFile(join(this.path, MARK), 'utf8').catch((error: unknown) => {
      if (isMissing(error) || systemCode(error) === 'ENOTDIR') return undefined;
      throw error; // nobody knows whether it is there
    });
    return text === undefined ? undefined : parseMark(text);
  }

  private async requireNoVolumes(): Promise<void> {
    for (const folder of ['volumes', 'set-aside']) {
      const [one] = await filesBelow(join(this.path, folder));
      if (one === undefined) continue;
      throw new ApiError('pool.not_empty', {
        detail: `${one} is still there.`,
        remedy: 'Look at what it is, and take it away when nobody needs it; then delete the pool again.',
      });
    }
  }

  /** Fails unless the roots allow the directory, and it is neither in another pool nor in the data directory. */
  private async requireAllowed(): Promise<void> {
    const parent = await realpath(dirname(this.path)).catch(() => undefined);
    const real = parent === undefined ? undefined : join(parent, basename(this.path));
    const roots = await Promise.all(this.rules.roots.map((root) => realpath(root).catch(() => undefined)));
    const open = roots.filter((root) => root !== undefined);
    if (this.rules.roots.length > 0 && (real === undefined || !isBelow(real, open))) throw outside(this.path, this.rules.field);
    if (parent === undefined || real === undefined || !(await isDirectory(parent)))
      throw this.invalid(
        `There is no directory ${dirname(this.path)} on the host.`,
        'Make it, or give a path below a directory that there is.',
      );
    const data = this.rules.reserved;
    const reserved = data === undefined ? [] : [await realpath(data).catch(() => data)];
    if (isBelow(real, reserved)) throw this.taken(`${this.path} lies in the data directory.`);
    for (let above = parent; ; above = dirname(above)) {
      if ((await facts(join(above, MARK))) !== undefined) throw this.taken(`${above}, in which it lies, is a storage pool.`);
      if (above === dirname(above)) return;
    }
  }

  private get known(): string {
    return this.rules.known ?? this.path;
  }

  private invalid(detail: string, remedy: string): ApiError {
    return new ApiError('pool.place_invalid', { detail, remedy, field: this.rules.field });
  }

  private taken(detail: string): ApiError {
    return new ApiError('pool.place_taken', {
      detail,
      remedy: 'Give the path of an empty directory, or of one that is not there yet.',
      field: this.rules.field,
    });
  }
}

function parseMark(text: string): Mark | undefined {
  try {
    const { pool, made } = JSON.parse(text) as Partial<Mark>;
    return typeof pool === 'string' ? { pool, made: made === true } : undefined;
  } catch {
    return undefined;
  }
}

async function facts(path: string): Promise<Stats | undefined> {
  return lstat(path).catch(() => undefined);
}

async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}

/** A directory that cannot be read is not taken for an empty one: what is in it may be the only copy. */
async function filesBelow(directory: string): Promise<string[]> {
  const entries: Dirent[] = await readdir(directory, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw new ApiError('pool.unavailable', {
      detail: `${directory} cannot be read: ${String(error)}.`,
      remedy: 'Look at the storage of the pool, then delete the pool again.',
      cause: error,
    });
  });
  return entries.filter((entry) => !entry.isDirectory() && !isHalfMade(entry.name)).map((entry) => join(entry.parentPath, entry.name));
}

function outside(path: string, field: string): ApiError {
  return new ApiError('pool.outside_roots', {
    detail: `${path} does not lie below a directory that is open for storage pools.`,
    remedy: 'Give a path below a directory that `flotilla up --pool-root` names.',
    field,
  });
}
