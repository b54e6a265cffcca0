// SPDX-License-Identifier: Apache-2.0
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '../../../common/api-error.js';
import { KeyedQueue } from '../../../common/async.js';
import { linkedSize } from '../../../common/volume-storage.js';
import type { CommandControl } from '../../../host-agent/host-agent.js';
import { makeWhole, PARTIAL_SUFFIX } from '../../files/durable.js';
import type { FileTools } from '../../files/file-tools.js';
import type { DiskFiles } from '../../hypervisor/hypervisor.js';
import { DeviceFiller } from '../lvm/device-filler.js';
import type { NewVolume } from '../storage-pool.js';
import type { PoolSpace } from './pool-space.js';
import { isThere, lostImage, makeHole, occupied, recordedImage } from './volume-files.js';

/** Bytes that the tables of a new qcow2 volume take at most. */
const TABLE_BYTES = 2 ** 21;

/** Makes the files of volumes in the directory of a pool; each is whole and durable under its name, or not there. */
export class VolumeMaker {
  /** Ids of files that are being made now; the collector leaves their partial files alone. */
  readonly making = new Set<string>();
  /** One copy of an image at a time. */
  private readonly copying = new KeyedQueue();
  private readonly copier: DeviceFiller;

  constructor(
    private readonly images: string,
    private readonly files: FileTools,
    private readonly space: PoolSpace,
  ) {
    const known = 'The copy of a volume';
    const remedy = 'See whether the storage of both pools answers, then ask again.';
    const away = (why: string) => new ApiError('pool.unavailable', { detail: `${known} came to nothing. ${why}`, remedy });
    this.copier = new DeviceFiller({ known, field: 'from.volume', remedy, native: files.native }, away);
  }

  async make(volume: NewVolume, target: string, control: CommandControl): Promise<void> {
    const { imageId, imagePath, sizeBytes, from } = volume;
    if (from !== undefined) return this.copyVolume(volume, from, target, control);
    if (imageId !== undefined && volume.clone === 'linked') {
      if (imagePath !== undefined) await this.keepImage(imageId, imagePath, control);
      return this.link(imageId, target, sizeBytes ?? 0);
    }
    const image = imageId === undefined ? undefined : await this.source(imageId, imagePath);
    if (volume.preallocate === 'full') return this.makeFull(target, sizeBytes ?? 0, image, control);
    if (image !== undefined) return this.copy(image, target, sizeBytes, control);
    if (volume.format !== 'qcow2') return makeWhole(target, (temporary) => makeHole(temporary, sizeBytes ?? 0));
    await this.space.require(TABLE_BYTES);
    await this.files.createQcow2(target, { sizeBytes: sizeBytes ?? 0 });
  }

  /** In a process of its own: what the source is on may stop to answer. */
  private async copyVolume(
    { sizeBytes = 0, preallocate }: NewVolume,
    from: DiskFiles,
    file: string,
    control: CommandControl,
  ): Promise<void> {
    const full = preallocate === 'full';
    await this.requireLength(file, sizeBytes);
    await this.space.require(full ? sizeBytes : await occupied(from.path));
    await this.space.during(control, (bounded) => this.copier.copy({ from, to: { file, sizeBytes }, full }, bounded));
  }

  /** The file of an image that a volume is made from. */
  async source(imageId: string, path = join(this.images, imageId), remedy?: string): Promise<string> {
    if (await isThere(path)) return path;
    throw lostImage(imageId, remedy);
  }

  async during<T>(id: string, make: () => Promise<T>): Promise<T> {
    this.making.add(id);
    try {
      return await make();
    } finally {
      this.making.delete(id);
    }
  }

  private async copy(source: string, target: string, sizeBytes: number | undefined, control: CommandControl): Promise<void> {
    if (sizeBytes !== undefined) await this.requireLength(target, sizeBytes);
    await this.space.require(await occupied(source));
    await this.space.during(control, (bounded) =>
      this.files.copy(source, target, { ...bounded, ...(sizeBytes === undefined ? {} : { sizeBytes }) }),
    );
  }

  /** Makes a file without holes, so that its guest finds the space that it was promised. */
  private async makeFull(target: string, wantedBytes: number, image: string | undefined, control: CommandControl): Promise<void> {
    const sizeBytes = Math.max(wantedBytes, image === undefined ? 0 : (await stat(image)).size);
    await this.requireLength(target, sizeBytes);
    await this.space.require(sizeBytes);
    await makeWhole(target, async (device) => {
      await makeHole(device, sizeBytes);
      const content = { device, used: true, ...(image === undefined ? {} : { image }) };
      await this.space.during(control, (bounded) => this.files.fill(content, bounded));
    });
  }

  /** Makes a volume that holds nothing yet and shows what the image holds. */
  private async link(imageId: string, target: string, sizeBytes: number): Promise<void> {
    const { size } = await stat(await this.source(imageId));
    await this.space.require(TABLE_BYTES);
    await this.files.createQcow2(target, { sizeBytes: linkedSize(size, sizeBytes), backing: recordedImage(imageId) });
  }

  /** Makes this pool's own copy of an image, which linked volumes are based on; it goes when the image does. */
  private async keepImage(imageId: string, source: string, control: CommandControl): Promise<void> {
    await this.copying.run(imageId, async () => {
      const target = join(this.images, imageId);
      if (await isThere(target)) return;
      await this.space.require(await occupied(await this.source(imageId, source)));
      await this.during(imageId, () => this.space.during(control, (bounded) => this.files.copy(source, target, bounded)));
    });
  }

  /** Fails unless a file may be so long here: better before the copy than after it. */
  private async requireLength(target: string, sizeBytes: number): Promise<void> {
    const temporary = `${target}${PARTIAL_SUFFIX}`;
    await makeHole(temporary, sizeBytes);
    await rm(temporary, { force: true });
  }
}
