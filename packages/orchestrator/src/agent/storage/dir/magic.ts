// SPDX-License-Identifier: Apache-2.0
// Magic numbers of files that users mistake for one another; crates/host/src/image/magic.rs has the same for the core.

import { isConverted } from './disk-converter.js';

interface Magic {
  bytes: string;
  /** Where they stand; 0 when absent. */
  at?: number;
  name: string;
}

/** What a file that is packed as a whole begins with, and the program that unpacks it. */
const PACKED: readonly (Magic & { unpack: string })[] = [
  { bytes: '\x1f\x8b', name: 'gzip', unpack: 'gunzip' },
  { bytes: '\xfd7zXZ\0', name: 'xz', unpack: 'unxz' },
  { bytes: '\x28\xb5\x2f\xfd', name: 'zstd', unpack: 'unzstd' },
  { bytes: '\x04\x22\x4d\x18', name: 'lz4', unpack: 'unlz4' },
  { bytes: '\x02\x21\x4c\x18', name: 'lz4', unpack: 'unlz4' },
  { bytes: 'BZh', name: 'bzip2', unpack: 'bunzip2' },
  { bytes: '\x89LZO', name: 'lzo', unpack: 'lzop -d' },
  { bytes: '\x5d\0\0', name: 'lzma', unpack: 'unlzma' },
];

/** cpio as the kernel takes it: "newc", without and with checksums. */
const CPIO: readonly Magic[] = [
  { bytes: '070701', name: 'cpio' },
  { bytes: '070702', name: 'cpio' },
];

/** Formats of disk images that have a header of their own before the content of the disk. */
const DISKS: readonly Magic[] = [
  { bytes: 'QFI\xfb', name: 'qcow2' },
  { bytes: 'QED\0', name: 'QED' },
  { bytes: 'KDMV', name: 'VMDK' },
  { bytes: 'COWD', name: 'VMDK' },
  { bytes: '# Disk DescriptorFile', name: 'VMDK' },
  { bytes: 'vhdxfile', name: 'VHDX' },
  { bytes: 'conectix', name: 'VHD' },
  { bytes: '\x7f\x10\xda\xbe', at: 0x40, name: 'VDI' },
  { bytes: 'WithoutFreeSpace', name: 'Parallels' },
  { bytes: 'WithouFreSpacExt', name: 'Parallels' },
];

const OTHERS: readonly Magic[] = [
  { bytes: 'PK\x03\x04', name: 'zip archive' },
  { bytes: '\x7fELF', name: 'ELF program' },
  ...CPIO.map(({ bytes }) => ({ bytes, name: 'cpio archive' })),
];

/** Why a file is not the content of a disk as it is, and what to do with it. */
export function otherThanRaw(head: Buffer): { detail: string; remedy: string } | undefined {
  const disk = found(DISKS, head);
  if (disk !== undefined) return { detail: `It is a ${disk.name} image.`, remedy: remedyFor(disk.name.toLowerCase()) };
  const packed = found(PACKED, head);
  // Three bytes prove no lzma: a disk may well begin so.
  if (packed !== undefined && packed.name !== 'lzma')
    return { detail: `It is packed with ${packed.name}.`, remedy: `Unpack it first (${packed.unpack}), and import what comes out.` };
  const other = found(OTHERS, head);
  return other === undefined ? undefined : { detail: `It is a ${other.name}.`, remedy: 'Give the file of a disk.' };
}

function remedyFor(format: string): string {
  return isConverted(format)
    ? `Give the format ${format}: it becomes raw when it is imported.`
    : 'Convert it first: qemu-img convert -O raw <file> <new file>.';
}

/** Whether a file is what the kernel takes for an initial RAM disk: cpio archives, packed or not, with zeroes before and between. */
export function isInitrd(head: Buffer): boolean {
  const start = head.findIndex((byte) => byte !== 0);
  return start >= 0 && found([...CPIO, ...PACKED], head.subarray(start)) !== undefined;
}

function found<T extends Magic>(table: readonly T[], head: Buffer): T | undefined {
  return table.find(({ bytes, at = 0 }) => head.toString('latin1', at, at + bytes.length) === bytes);
}
