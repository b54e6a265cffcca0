// SPDX-License-Identifier: Apache-2.0
import { open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '../../../common/api-error.js';
import { isShared, type VolumeStorage } from '../../../common/volume-storage.js';
import type { EnsureVolumeCommand } from '../../../host-agent/host-agent.js';
import { PARTIAL_SUFFIX } from '../../files/durable.js';
import type { BackingFile, NamedBacking } from '../../files/file-tools.js';
import type { DiskFiles } from '../../hypervisor/hypervisor.js';
import { systemCode } from '../../../common/system-code.js';

/** Endings of files that are not complete. */
const HALF_MADE = [PARTIAL_SUFFIX, '.import'];

/** Makes a file of a length that has nothing in it. Nothing of it stays when it may not be so long. */
export async function makeHole(path: string, sizeBytes: number): Promise<void> {
  const handle = await open(path, 'w', 0o600);
  try {
    await handle.truncate(sizeBytes);
  } catch (error) {
    await rm(path, { force: true });
    throw isTooLong(error) ? tooLong(sizeBytes, error) : error;
  } finally {
    await handle.close();
  }
}

/** What an image at the head of a chain records of the image below: a path within the pool, so that the pool can be moved. */
export function recordedImage(imageId: string): NamedBacking {
  return { name: `../images/${imageId}`, format: 'raw' };
}

/** The files of a volume in the directory of a pool, as whoever opens it names them. */
export function filesOf(directory: string, id: string, storage: VolumeStorage): DiskFiles {
  const { format, backingImageId } = storage;
  const imagePath = join(directory, 'images', backingImageId ?? '');
  if (isShared(storage)) return { path: imagePath, format, backing: [] };
  const backing: BackingFile[] = backingImageId === undefined ? [] : [{ path: imagePath, ...recordedImage(backingImageId) }];
  return { path: join(directory, 'volumes', id), format, backing };
}

/** Whether a volume that is made becomes a qcow2 image. */
export function isQcow2({ clone, format }: Pick<EnsureVolumeCommand, 'clone' | 'format'>): boolean {
  return clone === 'linked' || format === 'qcow2';
}

export async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

export function sharedVolume(id: string): ApiError {
  return new ApiError('spec.disk_invalid', {
    detail: `Volume ${id} is its image, which does not grow.`,
    remedy: 'Make a machine whose disk is a full or linked clone.',
    field: 'sizeMiB',
  });
}

export function isMissing(error: unknown): boolean {
  return systemCode(error) === 'ENOENT';
}

export function lostVolume(id: string, cause?: unknown): ApiError {
  return new ApiError('file.missing', {
    detail: `The pool has lost the file of volume ${id}.`,
    remedy: 'Bring the file back from a backup, or delete the machine of the volume and make another one.',
    cause,
  });
}

export function lostImage(imageId: string, remedy = 'Delete the image and import it again.'): ApiError {
  return new ApiError('file.missing', { detail: `The pool has lost the file of image ${imageId}.`, remedy });
}

/** Beyond the longest file of the file system; some say EINVAL. */
export function isTooLong(error: unknown): boolean {
  return ['EFBIG', 'EINVAL'].includes(systemCode(error) ?? '');
}

export function tooLong(sizeBytes: number, cause: unknown): ApiError {
  return new ApiError('spec.disk_invalid', {
    detail: `The file system of the storage pool has no files of ${sizeBytes} bytes.`,
    remedy: 'Ask for a smaller disk, or put the data directory on a file system with larger files (ext4: 16 TiB, XFS: 8 EiB).',
    cause,
  });
}

/** Bytes a file really takes, which is less than its size when it has holes. */
export async function occupied(path: string): Promise<number> {
  const facts = await stat(path).catch(() => undefined);
  return facts === undefined ? 0 : facts.blocks * 512;
}

/** Whether a file was never whole: its step is repeated or was taken back, so nobody misses it. */
export function isHalfMade(name: string): boolean {
  return name.startsWith('.') || HALF_MADE.some((ending) => name.endsWith(ending));
}

/** The resource a file belongs to: what is half made has endings after its id, and a copy under way a dot before it. */
export function idOf(name: string): string {
  return name.replace(/^\./, '').split('.')[0] ?? name;
}
