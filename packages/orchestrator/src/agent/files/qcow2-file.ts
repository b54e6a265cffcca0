// SPDX-License-Identifier: Apache-2.0
// qcow2 images (QEMU docs/interop/qcow2) as far as a host without the core needs them: empty ones, and a larger size.
import { open } from 'node:fs/promises';
import { ApiError } from '../../common/api-error.js';
import type { NamedBacking } from './file-tools.js';

const CLUSTER_BITS = 16;
const CLUSTER = 2 ** CLUSTER_BITS;
const HEADER_BYTES = 104;
const MAGIC = 0x514649fb; // "QFI\xfb"
const BACKING_FORMAT = 0xe2792aca;
/** Clusters of the L1 table: enough for 64 TiB, so that a disk grows by its size alone. */
const L1_CLUSTERS = 16;
const [REFCOUNT_TABLE, REFCOUNTS, L1] = [1, 2, 3].map((cluster) => cluster * CLUSTER) as [number, number, number];
/** Offsets of fields of the header. */
const AT = { version: 4, nameOffset: 8, nameLength: 16, clusterBits: 20, size: 24, l1Size: 36, l1: 40, refcounts: 48 } as const;

/** Makes an empty image; what was in the file is lost. */
export async function writeQcow2(path: string, sizeBytes: number, backing?: NamedBacking): Promise<void> {
  const file = await open(path, 'w', 0o600);
  try {
    const table = Buffer.alloc(8);
    table.writeBigUInt64BE(BigInt(REFCOUNTS));
    const counts = Buffer.alloc(2 * (3 + L1_CLUSTERS));
    for (let at = 0; at < counts.length; at += 2) counts.writeUInt16BE(1, at);
    await file.truncate(L1 + L1_CLUSTERS * CLUSTER);
    await file.write(table, 0, table.length, REFCOUNT_TABLE);
    await file.write(counts, 0, counts.length, REFCOUNTS);
    const start = header(sizeBytes, backing);
    await file.write(start, 0, start.length, 0);
  } finally {
    await file.close();
  }
}

/** The size of the disk in an image in bytes. */
export async function qcow2Size(path: string): Promise<number> {
  const file = await open(path, 'r');
  try {
    return Number((await readHeader(file)).readBigUInt64BE(AT.size));
  } finally {
    await file.close();
  }
}

/** Makes the disk in an image larger that nobody has open; answers its size. */
export async function enlargeQcow2(path: string, sizeBytes: number): Promise<number> {
  const file = await open(path, 'r+');
  try {
    const start = await readHeader(file);
    const now = Number(start.readBigUInt64BE(AT.size));
    if (now >= sizeBytes) return now;
    const bits = start.readUInt32BE(AT.clusterBits);
    const most = start.readUInt32BE(AT.l1Size) * 2 ** (2 * bits - 3);
    if (sizeBytes > most) {
      throw new ApiError('spec.disk_invalid', {
        detail: `The tables of the volume have room for ${most} bytes, and the fake hypervisor does not move them.`,
        remedy: 'Ask for less, or start with the native hypervisor.',
      });
    }
    const size = Buffer.alloc(8);
    size.writeBigUInt64BE(BigInt(sizeBytes));
    await file.write(size, 0, size.length, AT.size);
    await file.sync();
    return sizeBytes;
  } finally {
    await file.close();
  }
}

async function readHeader(file: Awaited<ReturnType<typeof open>>): Promise<Buffer> {
  const start = Buffer.alloc(HEADER_BYTES);
  await file.read(start, 0, start.length, 0);
  if (start.readUInt32BE(0) === MAGIC) return start;
  throw new ApiError('image.corrupt', {
    detail: 'The file of the volume is no qcow2 image.',
    remedy: 'Bring the file back from a backup, or delete the machine of the volume and make another one.',
  });
}

function header(sizeBytes: number, backing: NamedBacking | undefined): Buffer {
  const fields = Buffer.alloc(HEADER_BYTES);
  const extension = Buffer.alloc(24); // backing format, its text padded to 8 bytes, and the end of the extensions
  const text = Buffer.from(backing?.name ?? '');
  fields.writeUInt32BE(MAGIC, 0);
  fields.writeUInt32BE(3, AT.version);
  fields.writeBigUInt64BE(BigInt(backing === undefined ? 0 : HEADER_BYTES + extension.length), AT.nameOffset);
  fields.writeUInt32BE(text.length, AT.nameLength);
  fields.writeUInt32BE(CLUSTER_BITS, AT.clusterBits);
  fields.writeBigUInt64BE(BigInt(sizeBytes), AT.size);
  fields.writeUInt32BE((L1_CLUSTERS * CLUSTER) / 8, AT.l1Size);
  fields.writeBigUInt64BE(BigInt(L1), AT.l1);
  fields.writeBigUInt64BE(BigInt(REFCOUNT_TABLE), AT.refcounts);
  fields.writeUInt32BE(1, 56); // clusters of the refcount table
  fields.writeUInt32BE(4, 96); // refcounts of 2^4 bits
  fields.writeUInt32BE(HEADER_BYTES, 100);
  if (backing === undefined) return Buffer.concat([fields, extension]);
  const { format } = backing;
  extension.writeUInt32BE(BACKING_FORMAT, 0);
  extension.writeUInt32BE(format.length, 4);
  extension.write(format, 8);
  return Buffer.concat([fields, extension, text]);
}
