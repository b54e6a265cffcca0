// SPDX-License-Identifier: Apache-2.0
// Reads what a guest sees on a disk that no machine has open: a raw file or device, or a qcow2 image on raw ones
// (QEMU docs/interop/qcow2). The worker that wrote an image may have been taken over by its guest: nothing that it names is opened.
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { ApiError } from '../../common/api-error.js';
import type { DiskFiles } from '../hypervisor/hypervisor.js';

const MAGIC = 0x514649fb; // "QFI\xfb"
const HEADER_BYTES = 104;
const AT = {
  version: 4,
  nameOffset: 8,
  nameLength: 16,
  clusterBits: 20,
  size: 24,
  encryption: 32,
  l1Size: 36,
  l1: 40,
  features: 72,
} as const;
/** Offset in an entry of an L1 or L2 table. */
const OFFSET = 0x00ff_ffff_ffff_fe00n;
const COMPRESSED = 1n << 62n;
const ZERO = 1n;
/** Features that change nothing of how data is read: a dirty or a corrupt mark. */
const HARMLESS = 3n;
/** Bytes of the largest L1 table that is read: that of 64 TiB in clusters of 64 KiB is 1 MiB. */
const MAX_L1_BYTES = 32 * 2 ** 20;

/** A disk that is read. */
export interface DiskReader {
  readonly sizeBytes: number;
  /** Fills the buffer from a place on; false when all of it is known to be zero, and the buffer is as it was. */
  read(into: Buffer, at: number): Promise<boolean>;
  close(): Promise<void>;
}

export async function openDisk({ path, format, backing }: DiskFiles): Promise<DiskReader> {
  if (format === 'raw') return RawReader.open(path);
  const [below, ...more] = backing;
  if (more.length > 0 || (below !== undefined && below.format !== 'raw')) throw corrupt('It has more below it than one raw image.');
  const base = below === undefined ? undefined : await RawReader.open(below.path);
  try {
    return await Qcow2Reader.open(path, base, below?.name);
  } catch (error) {
    await base?.close();
    throw error;
  }
}

class RawReader implements DiskReader {
  private constructor(
    private readonly handle: FileHandle,
    readonly sizeBytes: number,
  ) {}

  static async open(path: string): Promise<RawReader> {
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return new RawReader(handle, await lengthOf(handle));
  }

  async read(into: Buffer, at: number): Promise<boolean> {
    await readAll(this.handle, into, at);
    return true;
  }

  close(): Promise<void> {
    return this.handle.close();
  }
}

class Qcow2Reader implements DiskReader {
  /** The L2 table that was read last. */
  private table: { at: number; entries: Buffer } | undefined;

  private constructor(
    private readonly handle: FileHandle,
    readonly sizeBytes: number,
    private readonly clusterBytes: number,
    private readonly l1: Buffer,
    private readonly base: DiskReader | undefined,
  ) {}

  static async open(path: string, base: DiskReader | undefined, name: string | undefined): Promise<Qcow2Reader> {
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const header = Buffer.alloc(HEADER_BYTES);
      await readTable(handle, header, 0);
      const { clusterBits, sizeBytes, l1Size } = checked(header);
      await requireName(handle, header, name);
      const covered = l1Size * 2 ** (2 * clusterBits - 3);
      if (covered < sizeBytes || l1Size * 8 > MAX_L1_BYTES) throw corrupt('Its tables do not fit its size.');
      const l1 = Buffer.alloc(l1Size * 8);
      await readTable(handle, l1, Number(header.readBigUInt64BE(AT.l1)));
      return new Qcow2Reader(handle, sizeBytes, 2 ** clusterBits, l1, base);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async read(into: Buffer, at: number): Promise<boolean> {
    let filled = false;
    for (let done = 0; done < into.length; ) {
      const length = Math.min(into.length - done, this.clusterBytes - ((at + done) % this.clusterBytes));
      const part = into.subarray(done, done + length);
      if (await this.readCluster(part, at + done)) {
        if (!filled) into.fill(0, 0, done);
        filled = true;
      } else if (filled) part.fill(0);
      done += length;
    }
    return filled;
  }

  async close(): Promise<void> {
    await this.handle.close();
    await this.base?.close();
  }

  private async readCluster(into: Buffer, at: number): Promise<boolean> {
    const entry = await this.entryOf(at);
    if ((entry & COMPRESSED) !== 0n) throw corrupt('It has compressed clusters, which no volume has.');
    if ((entry & ZERO) !== 0n) return false;
    const offset = Number(entry & OFFSET);
    if (offset === 0) return this.readBase(into, at);
    await readAll(this.handle, into, offset + (at % this.clusterBytes));
    return true;
  }

  private async readBase(into: Buffer, at: number): Promise<boolean> {
    const { base } = this;
    if (base === undefined || at >= base.sizeBytes) return false;
    const inside = into.subarray(0, Math.min(into.length, base.sizeBytes - at));
    into.fill(0, inside.length);
    return base.read(inside, at);
  }

  private async entryOf(at: number): Promise<bigint> {
    const cluster = Math.floor(at / this.clusterBytes);
    const entries = this.clusterBytes / 8;
    const l2 = Number(this.l1.readBigUInt64BE(Math.floor(cluster / entries) * 8) & OFFSET);
    if (l2 === 0) return 0n;
    if (this.table?.at !== l2) {
      const table = { at: l2, entries: Buffer.alloc(this.clusterBytes) };
      await readTable(this.handle, table.entries, l2);
      this.table = table;
    }
    return this.table.entries.readBigUInt64BE((cluster % entries) * 8);
  }
}

function checked(header: Buffer): { clusterBits: number; sizeBytes: number; l1Size: number } {
  const version = header.readUInt32BE(AT.version);
  if (header.readUInt32BE(0) !== MAGIC || (version !== 2 && version !== 3)) throw corrupt('It is no qcow2 image.');
  if (header.readUInt32BE(AT.encryption) !== 0) throw corrupt('It is encrypted, which no volume is.');
  if (version === 3 && (header.readBigUInt64BE(AT.features) & ~HARMLESS) !== 0n) throw corrupt('It has features that no volume has.');
  const clusterBits = header.readUInt32BE(AT.clusterBits);
  const sizeBytes = Number(header.readBigUInt64BE(AT.size));
  if (clusterBits < 9 || clusterBits > 21 || !Number.isSafeInteger(sizeBytes)) throw corrupt('Its header is damaged.');
  return { clusterBits, sizeBytes, l1Size: header.readUInt32BE(AT.l1Size) };
}

/** The image must name what it is based on, and nothing else. */
async function requireName(handle: FileHandle, header: Buffer, name: string | undefined): Promise<void> {
  const length = header.readUInt32BE(AT.nameLength);
  const offset = Number(header.readBigUInt64BE(AT.nameOffset));
  const recorded = Buffer.alloc(offset === 0 ? 0 : Math.min(length, 1024));
  await readTable(handle, recorded, offset);
  if (recorded.toString() === (name ?? '')) return;
  throw new ApiError('image.backing', {
    detail: 'The image of the volume names another backing file than the one that it was made on.',
    remedy: 'Bring the file back from a backup, or delete the volume.',
  });
}

/** Reads a part of the image that says where its data is: what lacks of that is not nothing. */
function readTable(handle: FileHandle, into: Buffer, at: number): Promise<void> {
  return readAll(handle, into, at, true);
}

/** Reads a whole buffer; what the file lacks reads as zeroes, unless all is needed. */
async function readAll(handle: FileHandle, into: Buffer, at: number, needed = false): Promise<void> {
  if (!Number.isSafeInteger(at)) throw corrupt('An offset in it is no offset.');
  for (let done = 0; done < into.length; ) {
    const { bytesRead } = await handle.read(into, done, into.length - done, at + done);
    if (bytesRead === 0) {
      if (needed) throw corrupt('It is cut short.');
      into.fill(0, done);
      return;
    }
    done += bytesRead;
  }
}

function corrupt(detail: string): ApiError {
  return new ApiError('image.corrupt', {
    detail: `The image of the volume cannot be read. ${detail}`,
    remedy: 'Bring the file back from a backup, or delete the volume.',
  });
}

/** The length of a file or device. */
export async function lengthOf(handle: FileHandle): Promise<number> {
  const facts = await handle.stat();
  return facts.isBlockDevice() ? deviceLength(facts.rdev) : facts.size;
}

/** Of a device `stat` tells no length, and Node has no seek. */
async function deviceLength(rdev: number): Promise<number> {
  const [major, minor] = [(rdev >> 8) & 0xfff, (rdev & 0xff) | ((rdev >> 12) & 0xfff00)];
  const handle = await open(`/sys/dev/block/${major}:${minor}/size`, 'r');
  try {
    return Number((await handle.readFile('utf8')).trim()) * 512;
  } finally {
    await handle.close();
  }
}
