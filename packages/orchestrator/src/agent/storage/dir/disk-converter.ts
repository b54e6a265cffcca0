// SPDX-License-Identifier: Apache-2.0
import { open } from 'node:fs/promises';
import { ApiError } from '../../../common/api-error.js';
import type { CommandRunner } from '../../runner/command-runner.js';

/** Our names of formats, and those of qemu-img. */
const FORMATS: Readonly<Record<string, string>> = { qcow2: 'qcow2', vmdk: 'vmdk', vhd: 'vpc', vhdx: 'vhdx', vdi: 'vdi' };
const SECTOR = 512;
/** A look at a header takes milliseconds; an image that makes it take longer is not wanted. */
const INSPECT_MILLISECONDS = 10_000;
const CONVERT_MILLISECONDS = 3_600_000;
/** Bytes of address space of the program: a header that promises large tables must not take the host's memory. */
const MEMORY_BYTES = 2 ** 31;
/** What `qemu-img check` ends with: damaged clusters; the format has no check. */
const DAMAGED = 2;
const NO_CHECK = 63;
const LEAKS = 3;
/** Seconds of CPU time. */
const CPU_SECONDS = 1800;

/** What `qemu-img info` tells, as far as it matters here. */
interface DiskInfo {
  'virtual-size'?: unknown;
  'backing-filename'?: unknown;
  encrypted?: unknown;
  'format-specific'?: { data?: { 'data-file'?: unknown; extents?: { filename?: unknown }[] } };
}

export interface ConvertOptions {
  /** Length of the disk, as `inspect` told. */
  sizeBytes: number;
  signal?: AbortSignal;
}

/** Whether disks of the format become raw on their way into a pool. */
export function isConverted(format: string): boolean {
  return Object.hasOwn(FORMATS, format);
}

/**
 * Makes raw disks of others, by qemu-img. An image can name further files (a backing file, extents, a data file), which would be
 * read with our rights: one that does is refused before anything of it is converted.
 */
export class DiskConverter {
  constructor(private readonly runner: CommandRunner) {}

  /** Checks an image, and tells how long its disk is. */
  async inspect(path: string, format: string): Promise<number> {
    if (format === 'vmdk') await refuseDescriptor(path);
    const args = ['qemu-img', 'info', '--output=json', '-f', qemuFormat(format), path];
    const { status, stdout, stderr } = await this.limited(args, 0, { timeoutMilliseconds: INSPECT_MILLISECONDS });
    if (status !== 0) throw mismatch(format, stderr);
    const info = JSON.parse(stdout) as DiskInfo;
    refuseOtherFiles(info, path);
    if (format === 'vdi') await refuseShortened(path);
    await this.check(path, format);
    const sizeBytes = info['virtual-size'];
    if (typeof sizeBytes !== 'number' || !Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || sizeBytes % SECTOR !== 0) {
      throw new ApiError('disk.size', {
        detail: `The disk in the image has ${String(sizeBytes)} bytes.`,
        remedy: `Give an image whose disk is a multiple of ${SECTOR} bytes long and not empty.`,
      });
    }
    return sizeBytes;
  }

  /** What is missing at the end of a file reads as zero for qemu-img; only its check finds that. */
  private async check(path: string, format: string): Promise<void> {
    const args = ['qemu-img', 'check', '-f', qemuFormat(format), path];
    const { status, stderr, stdout } = await this.limited(args, 0, { timeoutMilliseconds: CONVERT_MILLISECONDS });
    if (status === 0 || status === NO_CHECK || status === LEAKS) return;
    throw damaged(stderr === '' ? stdout : stderr);
  }

  /** Writes the disk of an inspected image to `target`. */
  async toRaw(path: string, format: string, target: string, { sizeBytes, signal }: ConvertOptions): Promise<void> {
    const args = ['qemu-img', 'convert', '-f', qemuFormat(format), '-O', 'raw', path, target];
    const options = { timeoutMilliseconds: CONVERT_MILLISECONDS, ...(signal === undefined ? {} : { signal }) };
    const { status, stderr } = await this.limited(args, sizeBytes, options);
    signal?.throwIfAborted();
    if (status === 0) return;
    throw damaged(stderr);
  }

  private limited(args: readonly string[], fileBytes: number, options: { timeoutMilliseconds: number; signal?: AbortSignal }) {
    const limits = [`--as=${MEMORY_BYTES}`, `--cpu=${CPU_SECONDS}`, `--fsize=${fileBytes}`, '--core=0', '--nofile=64'];
    return this.runner.run('prlimit', [...limits, '--', ...args], { ...options, accept: [-1, 1, DAMAGED, LEAKS, NO_CHECK] });
  }
}

function qemuFormat(format: string): string {
  const name = FORMATS[format];
  if (name === undefined) throw new Error(`Disks of format ${format} are not converted.`);
  return name;
}

/** A VMDK that is only text names the files it consists of, and qemu-img opens them as soon as it looks at it. */
async function refuseDescriptor(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    const magic = Buffer.alloc(4);
    await handle.read(magic, 0, 4, 0);
    if (!['KDMV', 'COWD'].includes(magic.toString('latin1'))) throw mismatch('vmdk', 'it is no VMDK of one file');
  } finally {
    await handle.close();
  }
}

/** Neither `qemu-img info` nor its check miss the end of a VDI. Its header: VirtualBox, `VDICore.h`, `VDIHEADER1PLUS`. */
async function refuseShortened(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    const header = Buffer.alloc(512);
    const { bytesRead } = await handle.read(header, 0, header.length, 0);
    const [data, block, blocks] = [header.readUInt32LE(0x158), header.readUInt32LE(0x178), header.readUInt32LE(0x184)];
    const { size } = await handle.stat();
    if (bytesRead < header.length || size < data + block * blocks) throw damaged(`its header promises more than ${size} bytes`);
  } finally {
    await handle.close();
  }
}

function refuseOtherFiles(info: DiskInfo, path: string): void {
  const data = info['format-specific']?.data;
  const others = (data?.extents ?? []).map((extent) => extent.filename).filter((name) => name !== path);
  const named = [info['backing-filename'], data?.['data-file'], ...others].filter((name) => name !== undefined);
  if (named.length > 0) {
    throw new ApiError('image.backing', {
      detail: `The image is not whole: it refers to ${named.map((name) => JSON.stringify(name)).join(', ')}.`,
      remedy: 'Make one file of it first: `qemu-img convert -O qcow2`.',
    });
  }
  if (info.encrypted === true) {
    throw new ApiError('image.format_mismatch', {
      detail: 'The image is encrypted.',
      remedy: 'Decrypt it first: `qemu-img convert`.',
      field: 'format',
    });
  }
}

function mismatch(format: string, why: string): ApiError {
  return new ApiError('image.format_mismatch', {
    detail: `The file is not of format ${format}: ${tidy(why)}.`,
    remedy: 'Give the true format of the file, or another file.',
    field: 'format',
  });
}

function damaged(why: string): ApiError {
  return new ApiError('image.corrupt', {
    detail: `The image is damaged or cannot be read to its end: ${tidy(why)}`,
    remedy: 'Copy or download the file again, or look at it with `qemu-img check`.',
  });
}

function tidy(text: string): string {
  return text.trim().slice(0, 500);
}
