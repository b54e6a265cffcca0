// SPDX-License-Identifier: Apache-2.0
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { ApiError } from '../../../common/api-error.js';
import { systemCode } from '../../../common/system-code.js';

/** Linux O_PATH: names a file without opening it, so that looking at a device or a FIFO has no effect on it. Node has no name for it. */
const O_PATH = 0o10000000;
const FIELD = 'source.path';

/** Who may import from where. */
export interface ImportRight {
  /** Directories below which files may be imported. */
  roots: readonly string[];
  /** Whether files from anywhere may be imported while there are no roots. */
  anywhere: boolean;
}

/** A file to import, held open: what its path names later does not matter. */
export interface SourceFile extends AsyncDisposable {
  /** Leads to the very file that was checked, in this process. */
  path: string;
  sizeBytes: number;
}

/**
 * Opens a regular file of the host that a client named. The agent may be root, so the path is not trusted: the last part must
 * be no symbolic link, and where the file really lies is asked of the kernel after it was opened. Devices and FIFOs are
 * recognised without opening them.
 */
export async function openSource(path: string, right: ImportRight): Promise<SourceFile> {
  if (right.roots.length === 0 && !right.anywhere) throw outside(path);
  const named = await open(path, O_PATH | constants.O_NOFOLLOW).catch(async (error: unknown) => {
    throw (await mayTell(path, right.roots)) ? refusal(path, error) : outside(path);
  });
  try {
    await requireBelow(named, path, right.roots);
    const facts = await named.stat();
    if (!facts.isFile()) throw notRegular(path, facts);
    const file = await open(linkOf(named), constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
      throw refusal(path, error);
    });
    return { path: linkOf(file), sizeBytes: facts.size, [Symbol.asyncDispose]: () => file.close() };
  } finally {
    await named.close();
  }
}

/** Whether it may be told that nothing is there: only of paths whose directories lie below a root, links followed. */
async function mayTell(path: string, roots: readonly string[]): Promise<boolean> {
  if (roots.length === 0) return true;
  for (let directory = dirname(resolve(path)); ; directory = dirname(directory)) {
    const real = await realpath(directory).catch(() => undefined);
    if (real !== undefined) return below(`${real}/`, await realRoots(roots));
  }
}

async function requireBelow(named: FileHandle, path: string, roots: readonly string[]): Promise<void> {
  if (roots.length === 0) return;
  const real = await readlink(linkOf(named));
  if (!below(real, await realRoots(roots))) throw outside(path);
}

/** The roots with links followed, as the kernel tells where a file lies; one that is not there opens nothing. */
async function realRoots(roots: readonly string[]): Promise<string[]> {
  return (await Promise.all(roots.map((root) => realpath(root).catch(() => undefined)))).filter((root) => root !== undefined);
}

function below(path: string, roots: readonly string[]): boolean {
  return roots.some((root) => path.startsWith(root.endsWith('/') ? root : `${root}/`));
}

function linkOf(handle: FileHandle): string {
  return `/proc/self/fd/${handle.fd}`;
}

function outside(path: string): ApiError {
  return new ApiError('file.outside_roots', {
    detail: `${path} does not lie below a directory that is open for imports.`,
    remedy: 'Put the file below a directory that `flotilla up --import-root` names, or upload it: PUT /v1/images/{name}/content.',
    field: FIELD,
  });
}

function notRegular(path: string, facts: Stats): ApiError {
  const kinds: [boolean, string][] = [
    [facts.isSymbolicLink(), 'a symbolic link'],
    [facts.isDirectory(), 'a directory'],
    [facts.isFIFO(), 'a FIFO'],
    [facts.isSocket(), 'a socket'],
    [facts.isBlockDevice() || facts.isCharacterDevice(), 'a device'],
  ];
  const what = kinds.find(([is]) => is)?.[1] ?? 'no regular file';
  return new ApiError('file.not_regular', {
    detail: `${path} is ${what}.`,
    remedy: 'Give the path of a regular file; of a symbolic link, give what it leads to.',
    field: FIELD,
  });
}

function refusal(path: string, error: unknown): ApiError {
  const code = systemCode(error);
  if (code === 'EACCES' || code === 'EPERM')
    return new ApiError('file.denied', {
      detail: `The host agent may not read ${path}.`,
      remedy: 'Make the file readable for the user of the host agent.',
      field: FIELD,
    });
  return new ApiError('file.missing', {
    detail: `There is no file ${path} on the host.`,
    remedy: 'Give the absolute path of a file that exists on the host.',
    field: FIELD,
  });
}
