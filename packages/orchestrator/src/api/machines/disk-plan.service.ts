// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { newId } from '../../common/ids.js';
import { linkedSize } from '../../common/volume-storage.js';
import { diskTuning } from '../../host-agent/disk-tuning.js';
import type { ImageKind } from '../images/image.js';
import { ImagesService } from '../images/images.service.js';
import { DEFAULT_POOL } from '../pools/pool.js';
import { PoolUse } from '../pools/pool-use.service.js';
import { storageOf, type Volume } from '../volumes/volume.js';
import { checkClone, checkPool, requireServable, requireWhole, sharedElsewhere } from './disk-checks.js';
import type { DiskDto } from './dto/machine-spec.dto.js';
import type { DiskSpec, MachineDisk } from './machine.js';

const MEBIBYTE = 1024 * 1024;

/** An image that the machine is made from, and the field that asked for it. */
export interface PlannedImage {
  id: string;
  kind: ImageKind;
  field: string;
}

/** What disks of a machine need, with every reference resolved. */
export interface DiskPlan {
  /** Id of the machine. */
  id: string;
  images: PlannedImage[];
  /** Volumes to make. */
  newVolumes: Volume[];
  disks: MachineDisk[];
  /** Capacities of the pools of new volumes that bound what they promise, by name. */
  bounds: Map<string, number>;
}

/** Turns a wished disk into what its machine needs for it, or refuses it with the field at fault. Writes nothing. */
@Injectable()
export class DiskPlanner {
  constructor(
    private readonly images: ImagesService,
    private readonly pools: PoolUse,
  ) {}

  /** Adds to the plan what the disk needs, and answers its specification. */
  async plan(plan: DiskPlan, machineName: string, disk: DiskDto, field: string): Promise<DiskSpec> {
    const extras = {
      readOnly: disk.readOnly ?? false,
      ...(disk.serial === undefined ? {} : { serial: disk.serial }),
      ...(disk.sizeMiB === undefined ? {} : { sizeMiB: disk.sizeMiB }),
      ...(disk.clone === undefined ? {} : { clone: disk.clone }),
      ...diskTuning(disk),
    };
    if (
      (disk.image === undefined && disk.volume === undefined && disk.sizeMiB === undefined) ||
      (disk.image !== undefined && disk.volume !== undefined)
    ) {
      throw new ApiError('spec.disk_invalid', {
        detail: 'A disk comes from an image, from a volume, or is empty with a size.',
        remedy: 'Give one of image and volume, or sizeMiB alone.',
        field,
      });
    }
    checkClone(disk, field);
    const linked = disk.clone === 'linked';
    const pool = await this.planPool(plan, disk, field);
    if (disk.volume !== undefined) {
      plan.disks.push({ name: disk.name, volume: disk.volume });
      return { name: disk.name, volume: disk.volume, ...extras };
    }
    const image = disk.image === undefined ? undefined : await this.images.resolve(disk.image, 'disk', `${field}.image`);
    const wanted = (disk.sizeMiB ?? 0) * MEBIBYTE;
    const imageBytes = image?.sizeBytes ?? 0;
    const sizeBytes = linked ? linkedSize(imageBytes, wanted) : Math.max(imageBytes, wanted);
    if (disk.sizeMiB !== undefined && wanted < imageBytes) {
      throw new ApiError('spec.disk_invalid', {
        detail: `The image has ${imageBytes} bytes; a disk cannot be smaller.`,
        remedy: 'Give a larger sizeMiB, or leave it out.',
        field: `${field}.sizeMiB`,
      });
    }
    const volume: Volume = {
      id: newId('vol'),
      name: `${machineName}-${disk.name}`,
      labels: {},
      pool,
      sizeBytes,
      format: linked ? 'qcow2' : 'raw',
      ...(image === undefined ? {} : (disk.clone ?? 'full') === 'full' ? { source: image.id } : { backingImage: image.id }),
      machine: plan.id,
      state: 'creating',
      generation: 1,
      createdAt: new Date().toISOString(),
    };
    requireServable(storageOf(volume), extras, field);
    requireWhole(sizeBytes, extras, `${field}.sizeMiB`);
    plan.newVolumes.push(volume);
    plan.disks.push({ name: disk.name, volume: volume.id });
    if (image !== undefined) plan.images.push({ id: image.id, kind: 'disk', field: `${field}.image` });
    return {
      name: disk.name,
      ...(image === undefined ? {} : { image: image.id }),
      ...(pool === DEFAULT_POOL ? {} : { pool }),
      ...extras,
    };
  }

  /** Name of the pool in which the volume of a disk is made. */
  private async planPool(plan: DiskPlan, disk: DiskDto, field: string): Promise<string> {
    checkPool(disk, field);
    if (disk.volume !== undefined) return DEFAULT_POOL;
    const name = disk.pool === undefined ? DEFAULT_POOL : await this.choosePool(disk.pool, disk.clone, field);
    const bound = await this.pools.boundOf(name);
    if (bound !== undefined) plan.bounds.set(name, bound);
    return name;
  }

  private async choosePool(idOrName: string, clone: DiskDto['clone'], field: string): Promise<string> {
    const pool = await this.pools.resolve(idOrName, `${field}.pool`);
    if (clone === 'linked') this.pools.requireCapability(pool, 'linkedClones', `${field}.clone`);
    if (clone === 'shared' && pool.name !== DEFAULT_POOL) throw sharedElsewhere(`${field}.pool`);
    return pool.name;
  }
}
