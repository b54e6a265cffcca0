// SPDX-License-Identifier: Apache-2.0
import type { Labels } from '../../common/names.js';

export const IMAGE_KINDS = ['kernel', 'initrd', 'disk'] as const;
export type ImageKind = (typeof IMAGE_KINDS)[number];
export const IMAGE_FORMATS = ['elf', 'bzimage', 'raw', 'initrd'] as const;
export type ImageFormat = (typeof IMAGE_FORMATS)[number];
/** Formats of disks that become raw on their way in. */
export const CONVERTED_FORMATS = ['qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi'] as const;
export const IMPORT_FORMATS = [...IMAGE_FORMATS, ...CONVERTED_FORMATS] as const;
export type ImportFormat = (typeof IMPORT_FORMATS)[number];
export const IMAGE_STATES = ['importing', 'ready', 'failed'] as const;
export type ImageState = (typeof IMAGE_STATES)[number];

const FORMATS_OF: Record<ImageKind, readonly ImportFormat[]> = {
  kernel: ['elf', 'bzimage'],
  initrd: ['initrd'],
  disk: ['raw', ...CONVERTED_FORMATS],
};

/** Whether an image of that kind may have that format. */
export function formatFits(kind: ImageKind, format: ImportFormat): boolean {
  return FORMATS_OF[kind].includes(format);
}

/** The format in which the pool keeps what came in another. */
export function keptFormat(format: ImportFormat): ImageFormat {
  return IMAGE_FORMATS.find((kept) => kept === format) ?? 'raw';
}

/** A kernel, initrd or disk that machines are made from. It never changes once it is ready. */
export interface Image {
  id: string;
  name: string;
  kind: ImageKind;
  format: ImageFormat;
  sizeBytes: number;
  sha256: string;
  state: ImageState;
  createdAt: string;
  labels: Labels;
  source: { path?: string; url?: string; upload?: boolean };
}
