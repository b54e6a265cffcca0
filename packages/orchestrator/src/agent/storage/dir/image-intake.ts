// SPDX-License-Identifier: Apache-2.0
import { createWriteStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError } from '../../../common/api-error.js';
import type {
  CommandControl,
  DownloadImageCommand,
  ImageFacts,
  ImportImageCommand,
  UploadImageCommand,
} from '../../../host-agent/host-agent.js';
import type { Downloads } from '../../download/downloads.js';
import { commitFile, PARTIAL_SUFFIX } from '../../files/durable.js';
import type { FileTools } from '../../files/file-tools.js';
import { type DiskConverter, isConverted } from './disk-converter.js';
import { checkFormat } from './inspect.js';
import type { PoolSpace } from './pool-space.js';
import { openSource } from './source-file.js';

/** What an image is while it comes in, and what becomes of a disk that is converted, until it is whole. */
const STAGED_SUFFIX = '.import';
const CONVERTED_SUFFIX = '.raw.import';
/** Endings of all that a half-made image may leave beside its file. */
export const INTAKE_SUFFIXES = [STAGED_SUFFIX, `${STAGED_SUFFIX}${PARTIAL_SUFFIX}`, CONVERTED_SUFFIX];

/** Ways by which images come in, where the host has them. */
export interface IntakeOptions {
  /** Directories below which files may be imported. */
  roots?: readonly string[];
  downloads?: Downloads;
  converter?: DiskConverter;
}

/** How images come into a pool: staged beside their place, checked, converted, and made durable under their name. */
export class ImageIntake {
  constructor(
    private readonly files: FileTools,
    private readonly space: PoolSpace,
    private readonly options: IntakeOptions = {},
  ) {}

  /** Copies a file of the host. */
  async copy(command: ImportImageCommand, target: string, control: CommandControl): Promise<ImageFacts> {
    await using source = await openSource(command.path, { roots: this.options.roots ?? [], anywhere: command.anywhere });
    await this.space.require(source.sizeBytes);
    const staged = `${target}${STAGED_SUFFIX}`;
    await this.space.during(control, (bounded) => this.files.copy(source.path, staged, bounded));
    return await this.admit(staged, target, command, control);
  }

  async download(command: DownloadImageCommand, target: string, control: CommandControl): Promise<ImageFacts> {
    const { downloads } = this.options;
    if (downloads === undefined) throw new Error('Nothing is downloaded into this pool.');
    const staged = `${target}${STAGED_SUFFIX}`;
    const require = (bytes: number) => this.space.require(bytes);
    await this.space.during(control, (bounded) => downloads.fetch(command, staged, { ...bounded, require }));
    return this.admit(staged, target, command, control);
  }

  /** Takes the content of an upload. */
  async upload(command: UploadImageCommand, content: Readable, target: string, control: CommandControl): Promise<ImageFacts> {
    const staged = `${target}${STAGED_SUFFIX}`;
    const { signal } = control;
    try {
      await pipeline(
        content,
        this.space.gauge(),
        createWriteStream(staged, { mode: 0o600 }),
        ...(signal === undefined ? [] : [{ signal }]),
      );
    } catch (error) {
      await rm(staged, { force: true });
      throw error;
    }
    return this.admit(staged, target, command, control);
  }

  private async admit(staged: string, target: string, command: UploadImageCommand, control: CommandControl): Promise<ImageFacts> {
    try {
      await checkFormat(staged, command.format, fieldOf(command));
      const sha256 = await this.files.hash(staged, control.signal === undefined ? {} : { signal: control.signal });
      if (command.sha256 !== undefined && command.sha256 !== sha256) {
        throw new ApiError('image.checksum_mismatch', {
          detail: `The SHA-256 of the content is ${sha256}.`,
          remedy: 'Get the file again, or give the right sha256.',
          field: 'sha256',
        });
      }
      const whole = isConverted(command.format) ? await this.convert(staged, target, command.format, control) : staged;
      const sizeBytes = (await stat(whole)).size;
      await commitFile(whole, target);
      return { sizeBytes, sha256 };
    } catch (error) {
      await rm(`${target}${CONVERTED_SUFFIX}`, { force: true });
      throw error;
    } finally {
      await rm(staged, { force: true });
    }
  }

  /** Makes a raw disk of another. It may become as long as the disk is, so that much must be free. */
  private async convert(staged: string, target: string, format: string, control: CommandControl): Promise<string> {
    const { converter } = this.options;
    if (converter === undefined) throw new Error('This pool has no converter for disks.');
    const converted = `${target}${CONVERTED_SUFFIX}`;
    const sizeBytes = await converter.inspect(staged, format, control.signal);
    await this.space.require(sizeBytes);
    await converter.toRaw(staged, format, converted, {
      sizeBytes,
      ...(control.signal === undefined ? {} : { signal: control.signal }),
    });
    return converted;
  }
}

/** The field of a request that says where an image comes from; an upload has none. */
function fieldOf(command: UploadImageCommand): string | undefined {
  if ('path' in command) return 'source.path';
  return 'url' in command ? 'source.url' : undefined;
}
