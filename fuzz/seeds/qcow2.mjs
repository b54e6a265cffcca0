// SPDX-License-Identifier: Apache-2.0
// qcow2 images (QEMU, docs/interop/qcow2.txt) with clusters of 512 bytes, as the target has them, and an entry of each kind.
import { deflateRawSync } from 'node:zlib';

const CLUSTER_BITS = 9;
const CLUSTER = 1 << CLUSTER_BITS;
/** Clusters by what they hold. */
const [REFCOUNT_TABLE, REFCOUNT_BLOCK, L1, L2, DATA, SET_ASIDE, COMPRESSED, CLUSTERS] = [1, 2, 3, 4, 5, 6, 7, 8];
const COPIED = 1n << 63n;
const ZERO = 1n;
const SIZE = 1 << 20;

/** @param {2 | 3} version */
export function qcow2(version) {
  const image = Buffer.alloc(CLUSTERS * CLUSTER);
  writeHeader(image, version);
  image.writeBigUInt64BE(place(REFCOUNT_BLOCK), Number(place(REFCOUNT_TABLE)));
  for (let cluster = 0; cluster < CLUSTERS; cluster++) image.writeUInt16BE(1, Number(place(REFCOUNT_BLOCK)) + 2 * cluster);
  image.writeBigUInt64BE(place(L2) | COPIED, Number(place(L1)));
  const packed = deflateRawSync(Buffer.alloc(CLUSTER, 'packed '), { windowBits: 12 });
  const entries = [place(DATA) | COPIED, compressed(place(COMPRESSED)), 0n];
  // Version 2 knows no clusters that read as zero.
  if (version === 3) entries.push(ZERO, place(SET_ASIDE) | COPIED | ZERO);
  else entries.push(place(SET_ASIDE) | COPIED);
  for (const [index, entry] of entries.entries()) image.writeBigUInt64BE(entry, Number(place(L2)) + 8 * index);
  image.fill('data', Number(place(DATA)), Number(place(SET_ASIDE)));
  packed.copy(image, Number(place(COMPRESSED)));
  return image;
}

function writeHeader(image, version) {
  image.write('QFI\xfb', 'latin1');
  image.writeUInt32BE(version, 4);
  image.writeUInt32BE(CLUSTER_BITS, 20);
  image.writeBigUInt64BE(BigInt(SIZE), 24);
  image.writeUInt32BE(SIZE / CLUSTER / (CLUSTER / 8), 36); // entries of the L1 table
  image.writeBigUInt64BE(place(L1), 40);
  image.writeBigUInt64BE(place(REFCOUNT_TABLE), 48);
  image.writeUInt32BE(1, 56); // clusters of the refcount table
  if (version === 2) return;
  image.writeUInt32BE(4, 96); // refcounts of 16 bits
  image.writeUInt32BE(104, 100); // length of the header
}

function place(cluster) {
  return BigInt(cluster * CLUSTER);
}

/** In one sector: the number of further ones, above the offset, is 0. */
function compressed(at) {
  return (1n << 62n) | at;
}
