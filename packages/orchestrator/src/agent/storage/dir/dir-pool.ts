// SPDX-License-Identifier: Apache-2.0
import { createWriteStream, mkdirSync } from 'node:fs';
import { open, readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError, POOL_FULL_REMEDY } from '../../../common/api-error.js';
import type {
  CommandControl,
  EnsureVolumeCommand,
  ImageFacts,
  ImportImageCommand,
  PoolUsage,
  UploadImageCommand,
  VolumeFacts,
} from '../../../host-agent/host-agent.js';
import { commitFile, PARTIAL_SUFFIX, syncDirectory } from '../../files/durable.js';
import type { FileTools } from '../../files/file-tools.js';
import { checkFormat } from './inspect.js';
import { openSource } from './source-file.js';
import type { Keep } from '../../touched.js';

/** Storage pool of kind `dir`: one file for each image and volume. What is half made ends in `.partial`. */
export class DirPool {
  private readonly images: string;
  private readonly volumes: string;
  /** Files that are being made now; the collector leaves their partial files alone. */
  private readonly making = new Set<string>();

  constructor(
    private readonly directory: string,
    private readonly files: FileTools,
    private readonly importRoots: readonly string[] = [],
  ) {
    this.images = join(directory, 'images');
    this.volumes = join(directory, 'volumes');
    for (const path of [this.images, this.volumes]) mkdirSync(path, { recursive: true, mode: 0o700 });
  }

  imagePath(id: string): string {
    return join(this.images, id);
  }

  volumePath(id: string): string {
    return join(this.volumes, id);
  }

  /** Copies a file of the host into the pool, checks it, and makes it durable under its id. */
  async importImage(command: ImportImageCommand, control: CommandControl): Promise<ImageFacts> {
    await using source = await openSource(command.path, { roots: this.importRoots, anywhere: command.anywhere });
    await this.requireSpace(source.sizeBytes);
    const target = this.imagePath(command.id);
    return await this.guarded(command.id, async () => {
      const staged = `${target}.import`;
      await this.files.copy(source.path, staged, control);
      return this.admit(staged, target, command, control);
    });
  }

  /** Takes the content of an upload. */
  async uploadImage(command: UploadImageCommand, content: Readable, control: CommandControl): Promise<ImageFacts> {
    const target = this.imagePath(command.id);
    return this.guarded(command.id, async () => {
      const staged = `${target}.import`;
      const { signal } = control;
      try {
        await pipeline(content, createWriteStream(staged, { mode: 0o600 }), ...(signal === undefined ? [] : [{ signal }]));
      } catch (error) {
        await rm(staged, { force: true });
        throw error;
      }
      return this.admit(staged, target, command, control);
    });
  }

  async removeImage(id: string): Promise<void> {
    for (const suffix of ['', PARTIAL_SUFFIX, '.import', `.import${PARTIAL_SUFFIX}`])
      await rm(`${this.imagePath(id)}${suffix}`, { force: true });
  }

  /** Makes a volume from an image, or an empty one. Done when it is there. */
  async ensureVolume(command: EnsureVolumeCommand, control: CommandControl): Promise<VolumeFacts> {
    const target = this.volumePath(command.id);
    const known = await stat(target).catch(() => undefined);
    if (known !== undefined) return { sizeBytes: known.size };
    return this.guarded(command.id, async () => {
      if (command.imageId === undefined) await this.makeEmpty(target, command.sizeBytes ?? 0);
      else {
        const source = this.imagePath(command.imageId);
        if ((await stat(source).catch(() => undefined)) === undefined) {
          throw new ApiError('file.missing', {
            detail: `The pool has lost the file of image ${command.imageId}.`,
            remedy: 'Delete the image and import it again.',
          });
        }
        await this.requireSpace(await occupied(source));
        await this.files.copy(source, target, { ...control, ...(command.sizeBytes === undefined ? {} : { sizeBytes: command.sizeBytes }) });
      }
      return { sizeBytes: (await stat(target)).size };
    });
  }

  async removeVolume(id: string): Promise<void> {
    for (const suffix of ['', PARTIAL_SUFFIX]) await rm(`${this.volumePath(id)}${suffix}`, { force: true });
  }

  async usage(): Promise<PoolUsage> {
    const facts = await statfs(this.directory);
    let allocatedBytes = 0;
    for (const directory of [this.images, this.volumes]) {
      for (const name of await readdir(directory)) allocatedBytes += await occupied(join(directory, name));
    }
    return { capacityBytes: facts.blocks * facts.bsize, allocatedBytes, availableBytes: facts.bavail * facts.bsize };
  }

  /** Removes files that no resource owns and half-made ones that nobody makes any more. */
  async collect(owned: { volumes: Keep; images: Keep }): Promise<string[]> {
    const removed: string[] = [];
    for (const [directory, ids] of [
      [this.images, owned.images],
      [this.volumes, owned.volumes],
    ] as const) {
      for (const name of await readdir(directory)) {
        const id = idOf(name);
        if (this.making.has(id) || (ids.has(id) && name === id)) continue;
        await rm(join(directory, name), { force: true, recursive: true });
        removed.push(join(directory, name));
      }
    }
    return removed;
  }

  private async admit(staged: string, target: string, command: UploadImageCommand, control: CommandControl): Promise<ImageFacts> {
    try {
      await checkFormat(staged, command.format, 'path' in command ? 'source.path' : undefined);
      const sha256 = await this.files.hash(staged, control.signal === undefined ? {} : { signal: control.signal });
      if (command.sha256 !== undefined && command.sha256 !== sha256) {
        throw new ApiError('image.checksum_mismatch', {
          detail: `The SHA-256 of the content is ${sha256}.`,
          remedy: 'Get the file again, or give the right sha256.',
          field: 'sha256',
        });
      }
      const sizeBytes = (await stat(staged)).size;
      await commitFile(staged, target);
      return { sizeBytes, sha256 };
    } catch (error) {
      await rm(staged, { force: true });
      throw error;
    }
  }

  private async makeEmpty(target: string, sizeBytes: number): Promise<void> {
    const temporary = `${target}${PARTIAL_SUFFIX}`;
    const handle = await open(temporary, 'w', 0o600);
    try {
      await handle.truncate(sizeBytes);
    } finally {
      await handle.close();
    }
    await commitFile(temporary, target);
    await syncDirectory(this.volumes);
  }

  private async requireSpace(bytes: number): Promise<void> {
    const facts = await statfs(this.directory);
    if (bytes <= facts.bavail * facts.bsize) return;
    throw new ApiError('pool.full', {
      detail: `The pool has ${facts.bavail * facts.bsize} bytes free; ${bytes} are needed.`,
      remedy: POOL_FULL_REMEDY,
    });
  }

  private async guarded<T>(id: string, make: () => Promise<T>): Promise<T> {
    this.making.add(id);
    try {
      return await make();
    } finally {
      this.making.delete(id);
    }
  }
}

/** Bytes a file really takes, which is less than its size when it has holes. */
async function occupied(path: string): Promise<number> {
  const facts = await stat(path).catch(() => undefined);
  return facts === undefined ? 0 : facts.blocks * 512;
}

/** The resource a file belongs to: what is half made has endings after its id, and a copy under way a dot before it. */
function idOf(name: string): string {
  return name.replace(/^\./, '').split('.')[0] ?? name;
}
