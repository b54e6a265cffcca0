// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';
import { ApiError } from '../../../common/api-error.js';

const HEADER_BYTES = 512;
/** VHD: "Disk Type" of the footer. */
const VHD_FIXED = 2;
const VHD_DYNAMIC = 3;
/** qcow2: incompatible feature bit of an external data file (QEMU docs/interop/qcow2). */
const QCOW2_DATA_FILE = 1n << 2n;
const VDI_MAGIC = 0xbeda107f;

/**
 * Refuses what qemu-img must not even look at, and what it reads wrongly without a word. Looking opens files that an image names,
 * with our rights: a local file, a device, a server of another host.
 */
export async function checkHeader(path: string, format: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const read = async (at: number): Promise<Buffer> => {
      const bytes = Buffer.alloc(HEADER_BYTES);
      await handle.read(bytes, 0, HEADER_BYTES, at);
      return bytes;
    };
    const header = await read(0);
    if (format === 'qcow2') checkQcow2(header);
    if (format === 'vmdk') checkVmdk(header);
    if (format === 'vdi') checkVdi(header, size);
    // A fixed disk has its footer at the end alone, a growing one has a copy at the beginning.
    if (format === 'vhd') checkVhd(isVhd(header) ? header : await read(Math.max(size - HEADER_BYTES, 0)));
  } finally {
    await handle.close();
  }
}

function checkQcow2(header: Buffer): void {
  const named = header.readUInt32BE(4) >= 3 && (header.readBigUInt64BE(72) & QCOW2_DATA_FILE) !== 0n;
  if (named) throw needsOthers('its content is in a data file');
}

/** Text that names extents is a VMDK too, alone or, when the header has no capacity, behind the header (QEMU, `vmdk_open_vmdk4`). */
function checkVmdk(header: Buffer): void {
  const magic = header.toString('latin1', 0, 4);
  if (!['KDMV', 'COWD'].includes(magic)) throw mismatch('vmdk', 'it is no VMDK of one file');
  if (magic === 'KDMV' && header.readBigUInt64LE(12) === 0n) throw needsOthers('it is a list of extents');
}

/** A differencing disk is read as an empty one. */
function checkVhd(footer: Buffer): void {
  const kind = footer.readUInt32BE(60);
  if (!isVhd(footer)) throw mismatch('vhd', 'it has no footer');
  if (kind !== VHD_FIXED && kind !== VHD_DYNAMIC) throw needsOthers('it holds only what differs from a parent');
}

function isVhd(footer: Buffer): boolean {
  return footer.toString('latin1', 0, 8) === 'conectix';
}

/** Neither `qemu-img info` nor its check miss the end of a VDI. Its header: VirtualBox, `VDICore.h`, `VDIHEADER1PLUS`. */
function checkVdi(header: Buffer, size: number): void {
  if (header.readUInt32LE(0x40) !== VDI_MAGIC) throw mismatch('vdi', 'it has no VDI header');
  const [data, block, blocks] = [header.readUInt32LE(0x158), header.readUInt32LE(0x178), header.readUInt32LE(0x184)];
  if (size < HEADER_BYTES || size < data + block * blocks) throw damaged(`its header promises more than ${size} bytes`);
}

export function needsOthers(why: string): ApiError {
  return new ApiError('image.backing', {
    detail: `The image is not whole: ${why}.`,
    remedy: 'Make one file of it first: `qemu-img convert -O qcow2`.',
  });
}

export function mismatch(format: string, why: string): ApiError {
  return new ApiError('image.format_mismatch', {
    detail: `The file is not of format ${format}: ${why}.`,
    remedy: 'Give the true format of the file, or another file.',
    field: 'format',
  });
}

export function damaged(why: string): ApiError {
  return new ApiError('image.corrupt', {
    detail: `The image is damaged or cannot be read to its end: ${why}.`,
    remedy: 'Copy or download the file again, or look at it with `qemu-img check`.',
  });
}
