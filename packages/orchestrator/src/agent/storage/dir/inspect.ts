// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';
import { ApiError } from '../../../common/api-error.js';
import { isInitrd, otherThanRaw } from './magic.js';

const HEADER_BYTES = 0x1000;
const ELF_MAGIC = 0x464c457f;
const BZIMAGE_MAGIC = 0x53726448; // "HdrS"
const SECTOR = 512;

/**
 * Checks that a file is of the format given and as long as its own header says. Reads the head of the file only. `field` is
 * what named the file.
 */
export async function checkFormat(path: string, format: string, field?: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const head = Buffer.alloc(HEADER_BYTES);
    const { bytesRead } = await handle.read(head, 0, HEADER_BYTES, 0);
    const header = head.subarray(0, bytesRead);
    if (size === 0) throw truncated('The file is empty.');
    if (format === 'elf') checkElf(header, size);
    if (format === 'bzimage') checkBzImage(header, size);
    if (format === 'initrd') checkInitrd(header);
    if (format === 'raw') checkRaw(header);
  } catch (error) {
    throw error instanceof ApiError && error.code === 'image.truncated' && field !== undefined ? error.at(field) : error;
  } finally {
    await handle.close();
  }
}

function checkElf(header: Buffer, size: number): void {
  if (header.length < 4 || header.readUInt32LE(0) !== ELF_MAGIC) throw mismatch('elf', 'It does not begin with the ELF magic.');
  if (header.length < 64) throw truncated('The ELF header is cut off.');
  const is64BitLittleX86 = header[4] === 2 && header[5] === 1 && header.readUInt16LE(18) === 62;
  if (!is64BitLittleX86) throw mismatch('elf', 'It is no 64-bit x86 ELF file.');
  const tableOffset = Number(header.readBigUInt64LE(32));
  const entrySize = header.readUInt16LE(54);
  const entries = header.readUInt16LE(56);
  if (entrySize < 56) throw mismatch('elf', 'It has no program headers.');
  if (tableOffset + entries * entrySize > size) throw truncated('The program headers lie behind the end of the file.');
  for (let i = 0; i < entries; i += 1) {
    const at = tableOffset + i * entrySize;
    if (at + 56 > header.length) break;
    const end = header.readBigUInt64LE(at + 8) + header.readBigUInt64LE(at + 32);
    if (end > BigInt(size)) throw truncated(`Segment ${i} ends at byte ${end}, the file has ${size}.`);
  }
}

function checkBzImage(header: Buffer, size: number): void {
  if (header.length < 0x210 || header.readUInt32LE(0x202) !== BZIMAGE_MAGIC)
    throw mismatch('bzimage', 'It has no Linux boot header ("HdrS" at byte 514).');
  if (header.readUInt16LE(0x206) < 0x0200) throw mismatch('bzimage', 'Its boot protocol is older than 2.00.');
  const setupSectors = header[0x1f1] === 0 ? 4 : (header[0x1f1] ?? 4);
  const needed = (setupSectors + 1) * SECTOR + header.readUInt32LE(0x1f4) * 16;
  if (needed > size) throw truncated(`Its header promises ${needed} bytes, the file has ${size}.`);
}

function checkInitrd(header: Buffer): void {
  if (isInitrd(header)) return;
  throw mismatch('initrd', 'It is no cpio archive ("newc"), plain or packed with gzip, xz, zstd, lz4, bzip2, lzo or lzma.');
}

function checkRaw(header: Buffer): void {
  const other = otherThanRaw(header);
  if (other !== undefined) throw mismatch('raw', other.detail, other.remedy);
}

function mismatch(format: string, why: string, remedy = 'Give the true format of the file, or another file.'): ApiError {
  return new ApiError('image.format_mismatch', {
    detail: `The file is not of format ${format}. ${why}`,
    remedy,
    field: 'format',
  });
}

function truncated(why: string): ApiError {
  return new ApiError('image.truncated', {
    detail: why,
    remedy: 'Copy or download the file again; it is not complete.',
  });
}
