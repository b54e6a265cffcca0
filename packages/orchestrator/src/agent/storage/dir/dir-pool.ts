// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from 'node:crypto';
import { constants, mkdirSync } from 'node:fs';
import { copyFile, open, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { DRIVERS, type PoolCapability } from '../../../common/pool.js';
import { isShared, type VolumeStorage } from '../../../common/volume-storage.js';
import type {
  CommandControl,
  DownloadImageCommand,
  ImageFacts,
  ImportImageCommand,
  PoolUsage,
  UploadImageCommand,
  VolumeFacts,
} from '../../../host-agent/host-agent.js';
import { PARTIAL_SUFFIX } from '../../files/durable.js';
import type { FileTools } from '../../files/file-tools.js';
import { qcow2Size } from '../../files/qcow2-file.js';
import type { DiskFiles } from '../../hypervisor/hypervisor.js';
import { StorageLook } from '../storage-look.js';
import { type GrownVolume, type NewVolume, type PoolCollection, StoragePool } from '../storage-pool.js';
import { type DirPlace, PROBE } from './dir-place.js';
import { ImageIntake, INTAKE_SUFFIXES, type IntakeOptions } from './image-intake.js';
import { guardOf, keptForDatabase, PoolSpace } from './pool-space.js';
import type { Keep } from '../../touched.js';
import { SetAside } from './set-aside.js';
import {
  filesOf,
  idOf,
  isHalfMade,
  isMissing,
  isQcow2,
  isThere,
  isTooLong,
  lostVolume,
  occupied,
  sharedVolume,
  tooLong,
} from './volume-files.js';
import { VolumeMaker } from './volume-maker.js';

/** A cold disk may have to look for each of thousands of files. */
const USAGE_MILLISECONDS = 60_000;

/** What a pool has that a command has defined, and the one of the installation has not. */
export interface Defined {
  place: DirPlace;
  guardPercent: number;
  /** Directory of the pool that images are copied from. */
  home: string;
}

/** Storage pool of kind `dir`: one file for each image and volume. What is half made ends in `.partial`. */
export class DirPool extends StoragePool {
  override readonly kind = 'dir';
  override guardPercent: number;
  private readonly images: string;
  private readonly volumes: string;
  private readonly setAside: SetAside;
  private readonly space: PoolSpace;
  private readonly intake: ImageIntake;
  private readonly maker: VolumeMaker;
  private reflink: Promise<boolean> | undefined;
  private readonly looking: StorageLook<PoolUsage>;

  constructor(
    private readonly directory: string,
    private readonly files: FileTools,
    intake: IntakeOptions = {},
    private readonly defined?: Defined,
  ) {
    super();
    this.guardPercent = defined?.guardPercent ?? 0;
    this.images = join(directory, 'images');
    this.volumes = join(directory, 'volumes');
    this.setAside = new SetAside(join(directory, 'set-aside'));
    this.space = new PoolSpace(directory, defined === undefined ? keptForDatabase : guardOf(() => this.guardPercent));
    this.intake = new ImageIntake(files, this.space, intake);
    this.maker = new VolumeMaker(this.images, files, this.space);
    this.looking = new StorageLook(directory, () => this.lookAtSpace(), USAGE_MILLISECONDS);
    if (defined !== undefined) return; // its place may not be there now
    for (const path of [this.images, this.volumes]) mkdirSync(path, { recursive: true, mode: 0o700 });
  }

  override async make(): Promise<void> {
    await this.defined?.place.make();
  }

  override async open(): Promise<void> {
    await this.defined?.place.require();
  }

  /** Nothing to let go of: a directory is there or not. */
  override close(): Promise<void> {
    return Promise.resolve();
  }

  override async remove(): Promise<void> {
    await this.defined?.place.remove();
  }

  override async capabilities(): Promise<PoolCapability[]> {
    this.reflink ??= this.canReflink();
    const shares = await this.reflink;
    return DRIVERS.dir.filter((capability) => capability !== 'reflink' || shares);
  }

  imagePath(id: string): string {
    return join(this.images, id);
  }

  volumePath(id: string): string {
    return join(this.volumes, id);
  }

  /** The files of a volume, as whoever opens it names them. */
  override diskFiles(id: string, storage: VolumeStorage): DiskFiles {
    return filesOf(this.directory, id, storage);
  }

  async importImage(command: ImportImageCommand, control: CommandControl): Promise<ImageFacts> {
    return this.maker.during(command.id, () => this.intake.copy(command, this.imagePath(command.id), control));
  }

  async downloadImage(command: DownloadImageCommand, control: CommandControl): Promise<ImageFacts> {
    return this.maker.during(command.id, () => this.intake.download(command, this.imagePath(command.id), control));
  }

  async uploadImage(command: UploadImageCommand, content: Readable, control: CommandControl): Promise<ImageFacts> {
    return this.maker.during(command.id, () => this.intake.upload(command, content, this.imagePath(command.id), control));
  }

  async removeImage(id: string): Promise<void> {
    for (const suffix of ['', PARTIAL_SUFFIX, ...INTAKE_SUFFIXES]) await rm(`${this.imagePath(id)}${suffix}`, { force: true });
  }

  /** Makes a volume from an image, or an empty one. Done when it is there. */
  override async ensureVolume(command: NewVolume, control: CommandControl): Promise<VolumeFacts> {
    const target = this.volumePath(command.id);
    if (command.clone === 'shared') return { sizeBytes: (await stat(await this.maker.source(command.imageId ?? ''))).size };
    const sizeOf = async () => ({ sizeBytes: isQcow2(command) ? await qcow2Size(target) : (await stat(target)).size });
    if (await isThere(target)) return sizeOf();
    await this.requireGuard();
    await this.maker.during(command.id, () => this.maker.make(command, target, control));
    return sizeOf();
  }

  /** Makes a volume larger that no worker has open; one that is as large or larger stays as it is. What is new is a hole. */
  override async growVolume({ id, sizeBytes, ...storage }: GrownVolume): Promise<VolumeFacts> {
    if (isShared(storage)) throw sharedVolume(id);
    await this.requireGuard();
    if (storage.format === 'raw') return this.growRaw(id, sizeBytes);
    const { path, backing } = this.diskFiles(id, storage);
    if (!(await isThere(path))) throw lostVolume(id);
    if (storage.backingImageId !== undefined)
      await this.maker.source(storage.backingImageId, undefined, 'Bring the file back from a backup: the volume is of no use without it.');
    return { sizeBytes: await this.files.growQcow2(path, { sizeBytes, backing }) };
  }

  private async growRaw(id: string, sizeBytes: number): Promise<VolumeFacts> {
    const handle = await open(this.volumePath(id), 'r+').catch((error: unknown) => {
      throw isMissing(error) ? lostVolume(id, error) : error;
    });
    try {
      const { size } = await handle.stat();
      if (size >= sizeBytes) return { sizeBytes: size };
      await handle.truncate(sizeBytes);
      await handle.sync();
      return { sizeBytes };
    } catch (error) {
      throw isTooLong(error) ? tooLong(sizeBytes, error) : error;
    } finally {
      await handle.close();
    }
  }

  override async removeVolume(id: string): Promise<void> {
    for (const suffix of ['', PARTIAL_SUFFIX]) await rm(`${this.volumePath(id)}${suffix}`, { force: true });
  }

  override usage(): Promise<PoolUsage> {
    return this.defined === undefined ? this.lookAtSpace() : this.looking.run();
  }

  private async lookAtSpace(): Promise<PoolUsage> {
    let allocatedBytes = 0;
    for (const directory of [this.images, this.volumes]) {
      for (const name of await readdir(directory)) allocatedBytes += await occupied(join(directory, name));
    }
    for (const path of await this.setAside.files()) allocatedBytes += await occupied(path);
    return { ...(await this.space.usage()), allocatedBytes };
  }

  /** Whether there is an image or a volume. */
  async holdsData(): Promise<boolean> {
    const names = [...(await readdir(this.images)), ...(await readdir(this.volumes))];
    return names.some((name) => !isHalfMade(name));
  }

  /** Ids of images and volumes that have files, also half-made ones. */
  async names(): Promise<{ images: string[]; volumes: string[] }> {
    const idsIn = async (directory: string) => [...new Set((await readdir(directory)).map(idOf))];
    return { images: await idsIn(this.images), volumes: await idsIn(this.volumes) };
  }

  /** Removes half-made files that nobody makes any more, and sets aside whole ones that no resource owns. */
  override async collect(owned: { volumes: Keep; images: Keep }): Promise<PoolCollection> {
    const now = new Date();
    const removed = await this.setAside.expire(now.getTime());
    const setAside: string[] = [];
    const failed: string[] = [];
    for (const [kind, directory, ids] of [
      ['images', this.images, owned.images],
      ['volumes', this.volumes, owned.volumes],
    ] as const) {
      for (const name of await readdir(directory)) {
        const id = idOf(name);
        if (this.maker.making.has(id) || (ids.has(id) && name === id)) continue;
        const path = join(directory, name);
        if (isHalfMade(name)) {
          await rm(path, { force: true, recursive: true });
          removed.push(path);
          continue;
        }
        if (kind === 'images' && this.defined !== undefined) {
          await rm(path, { force: true }); // a copy of one that is gone
          removed.push(path);
          continue;
        }
        try {
          setAside.push(await this.setAside.take(path, kind, now.toISOString()));
        } catch (error) {
          failed.push(`${path}: ${String(error)}`); // one that stays must not keep the others
        }
      }
    }
    return { removed, setAside, failed };
  }

  /** The guard of a pool that was defined keeps volumes without content away too: their guests will fill them. */
  private async requireGuard(): Promise<void> {
    if (this.defined !== undefined && this.guardPercent > 0) await this.space.require(0);
  }

  /** Whether a copy of an image shares what it holds with it. */
  private async canReflink(): Promise<boolean> {
    const source = join(this.defined?.home ?? this.directory, `.${randomUUID()}${PROBE}`); // others may look at the same time
    const target = join(this.directory, PROBE);
    try {
      await writeFile(source, 'reflink', { mode: 0o600 });
      await copyFile(source, target, constants.COPYFILE_FICLONE_FORCE);
      return true;
    } catch {
      return false;
    } finally {
      for (const path of [source, target]) await rm(path, { force: true });
    }
  }
}
