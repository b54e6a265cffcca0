// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError, needingSpace } from '../../common/api-error.js';
import { KeyedQueue } from '../../common/async.js';
import type { LabelledQuery } from '../../common/dto/list.dto.js';
import { isShared } from '../../common/volume-storage.js';
import { PoolUse } from '../pools/pool-use.service.js';
import { labelledPage, type Page, toPage } from '../../common/paging.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import { requireMatch } from '../../common/precondition.js';
import { Database, type Executor, type WriteTransaction } from '../../database/database.js';
import { toVolumeDto, type VolumeDto } from './dto/volume.dto.js';
import { storageOf, type Volume, volumeTarget } from './volume.js';
import { beingCopied, VolumeLocked, VolumeNotFound } from './volume.errors.js';
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
    private readonly database: Database,
  ) {}

  async list(query: LabelledQuery): Promise<Page<VolumeDto>> {
    const request = labelledPage(query);
    return toPage(await this.repository.page(request), request.limit, (volume) => volume.id, toVolumeDto);
  }

  async get(idOrName: string): Promise<VolumeDto> {
    return toVolumeDto(await this.load(idOrName));
  }

  /** Makes a volume larger. When this is cut short, asking again finishes it: the file may be larger than what is stored, never smaller. */
  async grow(idOrName: string, sizeMiB: number, ifMatch?: string): Promise<VolumeDto> {
    const { id } = await this.load(idOrName);
    return this.growing.run(id, async () => {
      requireMatch('Volume', await this.load(id), ifMatch);
      return toVolumeDto(await this.growTo(id, sizeMiB * 2 ** 20));
    });
  }

  /** Does something when no growth of it is under way, and lets none begin meanwhile. */
  whileNotGrowing<T>(id: string, run: () => Promise<T>): Promise<T> {
    return this.growing.run(id, run);
  }

  private async growTo(id: string, sizeBytes: number): Promise<Volume> {
    const volume = await this.load(id);
    if (volume.state !== 'ready') throw new VolumeLocked(`Volume ${id} is ${volume.state}.`, 'Wait until it is ready.');
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
    await this.requireNotCopied(volume.id);
    await this.holders.requireSize(volume, sizeBytes);
    await this.pools.requireStarted([volume.pool]);
    const wanted = { pool: volume.pool, bytes: sizeBytes - volume.sizeBytes, field: 'sizeMiB' };
    await this.pools.whileGrowing(wanted, async () => {
      await this.store(volume, await this.growOnHost(volume, sizeBytes));
    });
    const now = await this.load(id);
    // A machine that took it meanwhile may have opened it at its old size.
    return now.machine === volume.machine ? now : this.growTo(id, now.sizeBytes);
  }

  /** A growth that comes to nothing new changes nothing. */
  private async store({ id, sizeBytes }: Volume, grown: number): Promise<void> {
    if (grown === sizeBytes) return;
    await this.database.write(async (tx) => {
      await this.repository.resize(id, grown, tx.db);
      const volume = await this.repository.find(id, tx.db);
      if (volume !== undefined) tx.emit({ kind: 'volume.updated', target: volumeTarget(volume), data: { generation: volume.generation } });
    });
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
  async claim(idOrName: string, machineId: string, field: string, db: Executor): Promise<Volume> {
    const volume = await this.load(idOrName, field, db);
    await this.requireNotCopied(volume.id, field, db);
    if (await this.repository.claim(volume.id, machineId, db)) return volume;
    if (volume.state !== 'ready') throw new VolumeLocked(`Volume "${volume.name}" is ${volume.state}.`, 'Wait until it is ready.', field);
    throw new VolumeLocked(
      `Volume "${volume.name}" is in use by another machine.`,
      'Detach it from that machine first, or give another volume.',
      field,
    );
  }

  /** Takes a volume from its machine, which stores that in the same transaction. `remove`: from now on it can only be deleted. */
  async giveBack(id: string, machineId: string, remove: boolean, tx: WriteTransaction): Promise<void> {
    const { pool, state } = await this.load(id, undefined, tx.db);
    if (remove && state === 'moving') throw new VolumeLocked(`Volume ${id} is ${state}.`, 'Wait until it is there, or cancel the move.');
    if (remove) await this.requireNotCopied(id, undefined, tx.db);
    if (remove) await this.pools.requireStarted([pool], tx.db);
    await this.repository.release(machineId, [id], tx.db);
    if (remove) await this.repository.setState(id, 'deleting', tx.db);
  }

  private async requireNotCopied(id: string, field?: string, db: Executor = this.database.db): Promise<void> {
    const copied = await this.repository.copied([id], db);
    if (copied !== undefined) throw beingCopied(copied, field);
  }

  private async load(idOrName: string, field?: string, db?: Executor): Promise<Volume> {
    const volume = await this.repository.find(idOrName, db);
    if (volume === undefined) throw new VolumeNotFound(idOrName, field);
    return volume;
  }
}
