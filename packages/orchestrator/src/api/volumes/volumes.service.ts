// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError, needingSpace } from '../../common/api-error.js';
import { KeyedQueue } from '../../common/async.js';
import type { NamedQuery } from '../../common/dto/list.dto.js';
import { isShared } from '../../common/volume-storage.js';
import { PoolUse } from '../pools/pool-use.service.js';
import { namedPage, type Page, toPage } from '../../common/paging.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import type { Executor } from '../../database/database.js';
import type { VolumeDto } from './dto/volume.dto.js';
import { storageOf, type Volume } from './volume.js';
import { VolumeHolders } from './volume-holders.js';
import { VolumeRepository } from './volume.repository.js';

@Injectable()
export class VolumesService {
  /** Of one volume one after another, so that what is stored last is the largest. */
  private readonly growing = new KeyedQueue();

  constructor(
    private readonly repository: VolumeRepository,
    private readonly holders: VolumeHolders,
    private readonly agent: HostAgent,
    private readonly pools: PoolUse,
  ) {}

  async list(query: NamedQuery): Promise<Page<VolumeDto>> {
    const request = namedPage(query);
    return toPage(
      await this.repository.page(request),
      request.limit,
      (volume) => volume.id,
      (volume) => volume,
    );
  }

  async get(id: string): Promise<VolumeDto> {
    return this.load(id);
  }

  /** Makes a volume larger. When this is cut short, asking again finishes it: the file may be larger than what is stored, never smaller. */
  async grow(id: string, sizeMiB: number): Promise<VolumeDto> {
    return this.growing.run(id, () => this.growTo(id, sizeMiB * 2 ** 20));
  }

  private async growTo(id: string, sizeBytes: number): Promise<VolumeDto> {
    const volume = await this.load(id);
    if (volume.state !== 'ready') {
      throw new ApiError('volume.locked', {
        detail: `Volume ${id} is ${volume.state}.`,
        remedy: 'Wait until it is ready.',
      });
    }
    if (isShared(storageOf(volume))) {
      throw new ApiError('spec.disk_invalid', {
        detail: `Volume ${id} is an image that others may share, and stays as it is.`,
        remedy: 'Make a machine whose disk is a full or linked clone of the image.',
        field: 'sizeMiB',
      });
    }
    if (sizeBytes < volume.sizeBytes) {
      throw new ApiError('spec.disk_invalid', {
        detail: `Volume ${id} has ${volume.sizeBytes} bytes, and a volume is never made smaller: its guest may use all of it.`,
        remedy: `Give at least ${Math.ceil(volume.sizeBytes / 2 ** 20)} MiB.`,
        field: 'sizeMiB',
      });
    }
    await this.holders.requireSize(volume, sizeBytes);
    await this.pools.requireStarted([volume.pool]);
    const wanted = { pool: volume.pool, bytes: sizeBytes - volume.sizeBytes, field: 'sizeMiB' };
    await this.pools.whileGrowing(wanted, async () => {
      await this.repository.resize(id, await this.growOnHost(volume, sizeBytes));
    });
    const now = await this.load(id);
    // A machine that took it meanwhile may have opened it at its old size.
    return now.machine === volume.machine ? now : this.growTo(id, now.sizeBytes);
  }

  private async growOnHost(volume: Volume, sizeBytes: number): Promise<number> {
    const { id } = volume;
    const pool = await this.pools.refOf(volume.pool);
    const holder = await this.holders.holderOf(volume);
    const command = {
      id,
      sizeBytes,
      ...storageOf(volume),
      ...(holder === undefined ? {} : { holder }),
      ...(pool === undefined ? {} : { pool }),
    };
    try {
      return (await needingSpace('sizeMiB', () => this.agent.growVolume(command))).sizeBytes;
    } catch (error) {
      await this.load(id); // one that was deleted meanwhile has no file
      throw error;
    }
  }

  /** Gives an existing volume to a machine, in the transaction that makes the machine. */
  async claim(id: string, machineId: string, field: string, db: Executor): Promise<Volume> {
    const volume = await this.load(id, field, db);
    if (await this.repository.claim(id, machineId, db)) return volume;
    throw new ApiError('volume.locked', {
      detail: `Volume ${id} is in use by another machine.`,
      remedy: 'Delete that machine first, or give another volume.',
      field,
    });
  }

  private async load(id: string, field?: string, db?: Executor): Promise<Volume> {
    const volume = await this.repository.find(id, db);
    if (volume !== undefined) return volume;
    throw new ApiError('volume.not_found', {
      detail: `There is no volume with the id "${id}".`,
      remedy: 'List the volumes: GET /v1/volumes.',
      field,
      status: field === undefined ? 404 : 422,
    });
  }
}
