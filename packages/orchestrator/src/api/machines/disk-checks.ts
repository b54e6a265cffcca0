// SPDX-License-Identifier: Apache-2.0
// What goes together in a disk.
import { ApiError } from '../../common/api-error.js';
import { isShared, type VolumeStorage } from '../../common/volume-storage.js';
import type { DiskTuning } from '../../host-agent/disk-tuning.js';
import type { DiskDto } from './dto/machine-spec.dto.js';

const HUGE_PAGE = 2 * 1024 * 1024;
/** What a disk that is memory may say of requests: nothing, or what they are like anyhow. */
const REQUESTS = {
  serial: undefined,
  queues: undefined,
  cache: 'writeback',
  engine: 'auto',
  blockSize: undefined,
  onNoSpace: 'report',
  throttle: undefined,
} as const;

type Served = DiskTuning & Pick<DiskDto, 'readOnly' | 'serial'>;

/** What a disk may be made from. */
export function checkClone({ clone, image, sizeMiB }: DiskDto, field: string): void {
  if (clone === undefined || clone === 'full') return;
  if (image === undefined) {
    throw new ApiError('spec.disk_invalid', {
      detail: 'Only a disk that is made from an image can be linked to it, or be that image.',
      remedy: 'Give image, or leave clone out.',
      field: `${field}.clone`,
    });
  }
  if (clone === 'shared' && sizeMiB !== undefined) {
    throw new ApiError('spec.disk_invalid', {
      detail: 'A shared disk is its image, and as large as that.',
      remedy: 'Leave sizeMiB out, or make the disk a full or linked clone.',
      field: `${field}.sizeMiB`,
    });
  }
}

/** Where a disk may be. */
export function checkPool({ pool, volume }: DiskDto, field: string): void {
  if (pool === undefined || volume === undefined) return;
  throw new ApiError('spec.disk_invalid', {
    detail: 'A volume that there is has its pool already.',
    remedy: 'Leave pool out, or make a new volume.',
    field: `${field}.pool`,
  });
}

/** A disk that is its image, in another pool. */
export function sharedElsewhere(field: string): ApiError {
  return new ApiError('spec.disk_invalid', {
    detail: 'A shared disk is its image, and images are in the pool "default".',
    remedy: 'Leave pool out, or make the disk a full or linked clone.',
    field,
  });
}

/** Whether a volume can be served to its guest as asked for. */
export function requireServable(storage: VolumeStorage, disk: Served, field: string): void {
  requireCache(storage, disk, field);
  if (isShared(storage) && disk.readOnly !== true) {
    throw new ApiError('spec.disk_invalid', {
      detail: 'A shared disk is the image itself, which every machine that has it may only read.',
      remedy: 'Give readOnly: true, or make the disk a full or linked clone.',
      field: `${field}.readOnly`,
    });
  }
  if (disk.attach === 'pmem') checkPmem(storage, disk, field);
}

/** The tables of a qcow2 image are read and written through the cache of the host, and so is what lies beside them. */
function requireCache({ format }: VolumeStorage, { cache }: DiskTuning, field: string): void {
  if (format === 'raw' || cache !== 'none') return;
  throw new ApiError('spec.disk_invalid', {
    detail: 'A linked disk is a qcow2 image, and those do not pass the cache of the host by.',
    remedy: 'Use the cache writeback or writethrough, or make the disk a full clone.',
    field: `${field}.cache`,
  });
}

/** The file of a disk that is memory is what its guest sees, byte for byte, and nobody asks for it piece by piece. */
function checkPmem({ format }: VolumeStorage, disk: Served, field: string): void {
  if (format !== 'raw') {
    throw new ApiError('spec.disk_invalid', {
      detail: 'A linked disk is a qcow2 image, which is not what its guest sees, so that it cannot be mapped.',
      remedy: 'Make the disk a full clone or shared, or leave attach out.',
      field: `${field}.attach`,
    });
  }
  for (const [option, usual] of Object.entries(REQUESTS) as [keyof typeof REQUESTS, unknown][]) {
    if (disk[option] === undefined || disk[option] === usual) continue;
    throw new ApiError('spec.disk_invalid', {
      detail: `A disk that is memory has no requests, which ${option} is about.`,
      remedy: `Leave ${option} out, or attach: block.`,
      field: `${field}.${option}`,
    });
  }
}

/** Memory that can be written is whole huge pages: what a guest writes behind the end of the file would be lost. */
export function requireWhole(sizeBytes: number, { attach, readOnly }: Served, field: string): void {
  if (attach !== 'pmem' || readOnly === true || sizeBytes % HUGE_PAGE === 0) return;
  throw new ApiError('spec.disk_invalid', {
    detail: `A disk that is memory which the guest may write has a multiple of 2 MiB, and not ${sizeBytes} bytes.`,
    remedy: 'Give sizeMiB an even number, or readOnly: true.',
    field,
  });
}
