// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { newId } from '../../common/ids.js';
import { linkedSize, type VolumeFormat } from '../../common/volume-storage.js';
import type { Executor } from '../../database/database.js';
import type { EnsureVolumeCommand } from '../../host-agent/host-agent.js';
import type { Image } from '../images/image.js';
import { ImagesService } from '../images/images.service.js';
import { DEFAULT_POOL, type Pool } from '../pools/pool.js';
import { PoolUse } from '../pools/pool-use.service.js';
import type { CreateVolume } from './dto/volume-requests.dto.js';
import type { Volume } from './volume.js';
import { VolumeSources } from './volume-sources.service.js';

const MEBIBYTE = 2 ** 20;

/** What the operation tells the host beside id and pool. */
export type VolumeContent = Omit<EnsureVolumeCommand, 'id' | 'pool' | 'origin'> & {
  /** Id of the volume that it is copied from. */
  source?: string;
};

/** A wished volume with every reference resolved, before anything is stored. */
export interface VolumePlan {
  volume: Volume;
  content: VolumeContent;
  /** The image that it is made from. */
  image?: string;
  /** The volume that it is copied from. */
  source?: string;
  /** Capacity of its pool, if that bounds what it promises. */
  bound?: number;
}

/** Turns the body of a create into a plan, or refuses it with the field at fault. Writes nothing. */
@Injectable()
export class VolumePlanner {
  constructor(
    private readonly images: ImagesService,
    private readonly pools: PoolUse,
    private readonly sources: VolumeSources,
  ) {}

  async plan(body: CreateVolume): Promise<VolumePlan> {
    const format = formatOf(body);
    const pool = await this.pools.resolve(body.pool ?? DEFAULT_POOL, 'pool');
    this.requireAble(pool, body, format);
    const { image, copied } = await this.sourceOf(body);
    const linked = body.from?.clone === 'linked';
    const least = image?.sizeBytes ?? copied?.sizeBytes ?? 0;
    const wanted = (body.sizeMiB ?? 0) * MEBIBYTE;
    requireEnough(body, least, wanted);
    const sizeBytes = linked ? linkedSize(least, wanted) : Math.max(least, wanted);
    const bound = await this.pools.boundOf(pool.name);
    const volume: Volume = {
      id: newId('vol'),
      name: body.name,
      labels: body.labels ?? {},
      pool: pool.name,
      sizeBytes,
      format,
      ...(image === undefined ? {} : linked ? { backingImage: image.id } : { source: image.id }),
      ...(copied === undefined ? {} : { source: copied.id }),
      state: 'creating',
      generation: 1,
      createdAt: new Date().toISOString(),
    };
    const content = {
      ...(image === undefined ? {} : { imageId: image.id, clone: linked ? ('linked' as const) : ('full' as const) }),
      ...(copied === undefined ? {} : { source: copied.id, sizeBytes }),
      ...(body.sizeMiB === undefined || copied !== undefined ? {} : { sizeBytes: wanted }),
      ...(image === undefined && format === 'qcow2' ? { format } : {}),
      ...(body.preallocate === 'full' ? { preallocate: body.preallocate } : {}),
    };
    return {
      volume,
      content,
      ...(image === undefined ? {} : { image: image.id }),
      ...(copied === undefined ? {} : { source: copied.id }),
      ...(bound === undefined ? {} : { bound }),
    };
  }

  /** What may have changed since the plan was made: until the volume is stored nothing keeps it. In the transaction that stores it. */
  async requireStill({ volume, image, source, bound }: VolumePlan, db: Executor): Promise<void> {
    if (source !== undefined) await this.sources.requireAtRest(source, 'from.volume', db);
    if (image !== undefined) await this.images.resolve(image, 'disk', 'from.image', db);
    await this.pools.requireStarted([volume.pool], db, 'pool');
    await this.pools.requireRoom({ pool: volume.pool, bytes: volume.sizeBytes, field: 'sizeMiB' }, bound, db);
  }

  /** What it is made from: an image or a volume that there is. */
  private async sourceOf({ from }: CreateVolume): Promise<{ image?: Image; copied?: Volume }> {
    if (from === undefined) return {};
    const { image, volume, clone } = from;
    if ((image === undefined) === (volume === undefined)) {
      throw new ApiError('spec.disk_invalid', {
        detail: 'A volume is made from an image or from another volume.',
        remedy: 'Give one of image and volume, or leave from out.',
        field: 'from',
      });
    }
    if (image !== undefined) return { image: await this.images.resolve(image, 'disk', 'from.image') };
    if (clone === 'linked') {
      throw new ApiError('spec.disk_invalid', {
        detail: 'Volumes are linked to images alone.',
        remedy: 'Leave clone out, or give an image.',
        field: 'from.clone',
      });
    }
    return { copied: await this.sources.find(volume ?? '', 'from.volume') };
  }

  private requireAble(pool: Pool, { from, preallocate }: CreateVolume, format: VolumeFormat): void {
    if (from?.clone === 'linked') this.pools.requireCapability(pool, 'linkedClones', 'from.clone');
    if (format === 'qcow2') this.pools.requireCapability(pool, 'qcow2', 'format');
    if (preallocate === 'full') this.pools.requireCapability(pool, 'preallocation', 'preallocate');
  }
}

/** The format that a volume gets; what cannot go together is refused. */
function formatOf({ format, from, preallocate }: CreateVolume): VolumeFormat {
  const linked = from?.clone === 'linked';
  const given = format ?? (linked ? 'qcow2' : 'raw');
  if (from !== undefined && given !== (linked ? 'qcow2' : 'raw')) {
    throw new ApiError('spec.disk_invalid', {
      detail: linked ? 'A linked clone is a qcow2 image: a raw one has nowhere to say what differs.' : 'A full clone is raw.',
      remedy: 'Leave format out.',
      field: 'format',
    });
  }
  if (given === 'qcow2' && preallocate === 'full') {
    throw new ApiError('spec.disk_invalid', {
      detail: 'A qcow2 volume takes the space that is written to.',
      remedy: 'Leave preallocate out, or ask for a raw volume.',
      field: 'preallocate',
    });
  }
  return given;
}

function requireEnough({ from, sizeMiB }: CreateVolume, leastBytes: number, wantedBytes: number): void {
  if (from === undefined && sizeMiB === undefined) {
    throw new ApiError('spec.disk_invalid', {
      detail: 'A volume that is made from nothing has a size.',
      remedy: 'Give sizeMiB, or say what it is made from.',
      field: 'sizeMiB',
    });
  }
  if (sizeMiB === undefined || wantedBytes >= leastBytes) return;
  throw new ApiError('spec.disk_invalid', {
    detail: `What it is made from has ${leastBytes} bytes; a volume cannot be smaller.`,
    remedy: 'Give a larger sizeMiB, or leave it out.',
    field: 'sizeMiB',
  });
}
