// SPDX-License-Identifier: Apache-2.0
// Copies of what a guest sees on a disk, from devices and qcow2 images too, which the core copies none of.
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { ApiError } from '../../common/api-error.js';
import { sleep } from '../../common/async.js';
import { systemCode } from '../../common/system-code.js';
import type { CommandControl } from '../../host-agent/host-agent.js';
import type { DiskFiles } from '../hypervisor/hypervisor.js';
import type { FileTools } from './file-tools.js';
import { makeWhole } from './durable.js';
import { type DiskReader, lengthOf, openDisk } from './disk-reader.js';

const CHUNK = 2 ** 20;
/** Zeroes of this size are passed over: the smallest block of a thin pool. */
const PIECE = 64 * 1024;
const ZEROES = Buffer.alloc(PIECE);
/** Bytes between two syncs: what the host has not written yet is bounded. */
const SYNC_BYTES = 64 * CHUNK;

/** How long somebody else's claim of a device is waited for. */
const CLAIM_MILLISECONDS = { most: 2000, each: 50 };

/** A copy of a disk to make. */
export interface DiskCopy {
  from: DiskFiles;
  /** A file that is made, as a whole or not at all; or a device that is there. */
  to: { file: string; sizeBytes: number } | { device: string };
  /** Whether zeroes are written too: they take space then, and what others have left on a device is gone. */
  full: boolean;
}

/** Copies a disk that nobody writes to. */
export async function copyDisk({ from, to, full }: DiskCopy, tools: FileTools, control: CommandControl): Promise<void> {
  if (from.format === 'raw' && (await isFile(from.path)) && !('file' in to && full)) {
    if ('file' in to) return tools.copy(from.path, to.file, { ...control, sizeBytes: to.sizeBytes });
    return tools.fill({ device: to.device, image: from.path, used: full }, control);
  }
  const reader = await openDisk(from);
  try {
    if ('device' in to) return await write(reader, await openDevice(to.device), { full }, control);
    const { file, sizeBytes } = to;
    await makeWhole(file, async (temporary) => write(reader, await open(temporary, 'w', 0o600), { full, sizeBytes }, control));
  } finally {
    await reader.close();
  }
}

async function write(
  reader: DiskReader,
  to: FileHandle,
  { full, sizeBytes }: { full: boolean; sizeBytes?: number },
  { signal, onProgress }: CommandControl,
): Promise<void> {
  try {
    const size = sizeBytes ?? (await lengthOf(to));
    const totalBytes = full ? size : Math.min(size, reader.sizeBytes);
    if (reader.sizeBytes > size) throw new Error(`${size} bytes are too few for a disk of ${reader.sizeBytes}.`);
    if (sizeBytes !== undefined) await to.truncate(sizeBytes);
    const buffer = Buffer.alloc(CHUNK);
    for (let at = 0, unsynced = 0; at < totalBytes; at += CHUNK) {
      signal?.throwIfAborted();
      const piece = buffer.subarray(0, Math.min(CHUNK, totalBytes - at));
      const filled = at < reader.sizeBytes && (await reader.read(piece, at));
      if (!filled && full) piece.fill(0);
      if (filled || full) unsynced += await put(to, piece, at, full);
      if (unsynced >= SYNC_BYTES) {
        await to.datasync();
        unsynced = 0;
      }
      onProgress?.({ bytes: at + piece.length, totalBytes });
    }
    await to.sync();
  } finally {
    await to.close();
  }
}

/** Writes what is not zero, or all; answers how much that was. */
async function put(to: FileHandle, bytes: Buffer, at: number, full: boolean): Promise<number> {
  if (full) return (await to.write(bytes, 0, bytes.length, at)).bytesWritten;
  let written = 0;
  for (let start = 0; start < bytes.length; start += PIECE) {
    const piece = bytes.subarray(start, start + PIECE);
    if (piece.equals(ZEROES.subarray(0, piece.length))) continue;
    await to.write(piece, 0, piece.length, at + start);
    written += piece.length;
  }
  return written;
}

async function isFile(path: string): Promise<boolean> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    return (await handle.stat()).isFile();
  } finally {
    await handle.close();
  }
}

/** A device that nobody else has claimed, or a file in its place. A process that was killed lets go of its claim some moments later. */
export async function openDevice(path: string, { most, each } = CLAIM_MILLISECONDS): Promise<FileHandle> {
  for (let waited = 0; ; waited += each) {
    try {
      return await open(path, constants.O_RDWR | constants.O_EXCL | constants.O_NONBLOCK);
    } catch (error) {
      if (systemCode(error) !== 'EBUSY') throw error;
      if (waited >= most) throw claimed(path, error);
    }
    await sleep(each);
  }
}

function claimed(path: string, cause: unknown): ApiError {
  return new ApiError('pool.in_use', {
    detail: `Something on the host has ${path} open.`,
    remedy: 'End what has it open (`lsof`, `dmsetup ls --tree` find it), then try again.',
    cause,
  });
}
