// SPDX-License-Identifier: Apache-2.0
import { dirname } from 'node:path';
import { ApiError } from '../../../common/api-error.js';
import type { CommandResult, CommandRunner } from '../../runner/command-runner.js';
import { checkHeader, damaged, mismatch, needsOthers } from './disk-header.js';

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
/** prlimit did not find it. */
const NOT_FOUND = 127;
/** A signal ended it: ours, or that of a limit. */
const KILLED = -1;
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

interface Limits {
  fileBytes: number;
  milliseconds: number;
  signal?: AbortSignal | undefined;
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
  async inspect(path: string, format: string, signal?: AbortSignal): Promise<number> {
    await checkHeader(path, format);
    const args = ['info', '--output=json', '-f', qemuFormat(format), path];
    const result = await this.limited(args, { fileBytes: 0, milliseconds: INSPECT_MILLISECONDS, signal });
    if (result.status !== 0) throw result.status === KILLED ? damaged(why(result, path)) : mismatch(format, why(result, path));
    const info = parse(result.stdout);
    refuseOtherFiles(info, path);
    await this.check(path, format, signal);
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
  private async check(path: string, format: string, signal?: AbortSignal): Promise<void> {
    const args = ['check', '-f', qemuFormat(format), path];
    const result = await this.limited(args, { fileBytes: 0, milliseconds: CONVERT_MILLISECONDS, signal });
    if ([0, NO_CHECK, LEAKS].includes(result.status)) return;
    throw damaged(why(result, path));
  }

  /** Writes the disk of an inspected image to `target`, which is beside it. */
  async toRaw(path: string, format: string, target: string, { sizeBytes, signal }: ConvertOptions): Promise<void> {
    const args = ['convert', '-f', qemuFormat(format), '-O', 'raw', path, target];
    const result = await this.limited(args, { fileBytes: sizeBytes, milliseconds: CONVERT_MILLISECONDS, signal });
    if (result.status !== 0) throw damaged(why(result, path));
  }

  /** Fails when it is called off; one that reaches a limit is told by its status: the image is at fault, not the host. */
  private async limited(args: readonly string[], { fileBytes, milliseconds, signal }: Limits): Promise<CommandResult> {
    const limits = [`--as=${MEMORY_BYTES}`, `--cpu=${CPU_SECONDS}`, `--fsize=${fileBytes}`, '--core=0', '--nofile=64'];
    const late = AbortSignal.timeout(milliseconds);
    const result = await this.runner.run('prlimit', [...limits, '--', 'qemu-img', ...args], {
      timeoutMilliseconds: 2 * milliseconds,
      signal: signal === undefined ? late : AbortSignal.any([late, signal]),
      accept: [KILLED, 1, DAMAGED, LEAKS, NO_CHECK, NOT_FOUND],
    });
    if (result.status === NOT_FOUND) throw notInstalled();
    signal?.throwIfAborted();
    return result;
  }
}

function qemuFormat(format: string): string {
  const name = FORMATS[format];
  if (name === undefined) throw new Error(`Disks of format ${format} are not converted.`);
  return name;
}

function notInstalled(): ApiError {
  return new ApiError('host.command_failed', {
    detail: 'The host has no qemu-img, which converts disks.',
    remedy: 'Install it on the host (Debian, Ubuntu: qemu-utils), or convert the disk elsewhere and import it as raw.',
  });
}

/** An image may have more to tell (of snapshots, say) than is read of any program. */
function parse(text: string): DiskInfo {
  try {
    return JSON.parse(text) as DiskInfo;
  } catch {
    throw damaged('its header tells more than can be read');
  }
}

function refuseOtherFiles(info: DiskInfo, path: string): void {
  const data = info['format-specific']?.data;
  const others = (data?.extents ?? []).map((extent) => extent.filename).filter((name) => name !== path);
  const named = [info['backing-filename'], data?.['data-file'], ...others].filter((name) => name !== undefined);
  if (named.length > 0) throw needsOthers(`it refers to ${named.map((name) => JSON.stringify(name)).join(', ')}`);
  if (info.encrypted === true) {
    throw new ApiError('image.format_mismatch', {
      detail: 'The image is encrypted.',
      remedy: 'Decrypt it first: `qemu-img convert`.',
      field: 'format',
    });
  }
}

/** What qemu-img says of an image, without where the pool keeps it. */
function why({ status, stderr, stdout }: CommandResult, path: string): string {
  if (status === KILLED) return 'reading it takes more time, memory or space than it may';
  const text = stderr.trim() === '' ? stdout : stderr;
  return text
    .replaceAll(`${dirname(path)}/`, '')
    .trim()
    .slice(0, 500)
    .replace(/\.$/, '');
}
