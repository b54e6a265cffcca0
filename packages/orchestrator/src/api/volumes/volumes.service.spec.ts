// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { ApiError } from '../../common/api-error.js';
import type { Database } from '../../database/database.js';
import type { GrowVolumeCommand, HostAgent } from '../../host-agent/host-agent.js';
import type { PoolUse } from '../pools/pool-use.service.js';
import type { Volume } from './volume.js';
import type { VolumeHolders } from './volume-holders.js';
import type { VolumeRepository } from './volume.repository.js';
import { VolumesService } from './volumes.service.js';

const MIB = 2 ** 20;

describe('A volume that grows', () => {
  let stored: Volume | undefined;
  let calls: GrowVolumeCommand[];
  /** What happens on the host beside the growth. */
  let meanwhile: (command: GrowVolumeCommand) => Promise<void>;
  let service: VolumesService;

  beforeEach(() => {
    stored = {
      id: 'vol-1',
      name: 'v',
      labels: {},
      pool: 'default',
      sizeBytes: MIB,
      format: 'raw',
      state: 'ready',
      generation: 1,
      createdAt: '',
    };
    calls = [];
    meanwhile = () => Promise.resolve();
    const repository = {
      find: () => Promise.resolve(stored === undefined ? undefined : { ...stored }),
      copied: () => Promise.resolve(undefined),
      resize: (_id: string, sizeBytes: number) => {
        if (stored !== undefined) stored.sizeBytes = sizeBytes;
        return Promise.resolve();
      },
    } as unknown as VolumeRepository;
    const holders = {
      holderOf: ({ machine }: Volume) => Promise.resolve(machine === undefined ? undefined : { machineId: machine, disk: 'root' }),
      requireSize: () => Promise.resolve(),
    } as unknown as VolumeHolders;
    const agent = {
      growVolume: async (command: GrowVolumeCommand) => {
        calls.push(command);
        await meanwhile(command);
        return { sizeBytes: command.sizeBytes };
      },
    } as unknown as HostAgent;
    const database = {
      write: (run: (tx: { db: unknown; emit: () => void }) => Promise<void>) => run({ db: undefined, emit: () => undefined }),
    } as unknown as Database;
    const pools = {
      requireStarted: () => Promise.resolve(),
      refOf: () => Promise.resolve(undefined),
      whileGrowing: (_wanted: unknown, grow: () => Promise<unknown>) => grow(),
    } as unknown as PoolUse;
    service = new VolumesService(repository, holders, agent, pools, database);
  });

  it('is told to the guest of a machine that took it meanwhile', async () => {
    meanwhile = () => {
      if (stored !== undefined) stored.machine = 'mac-1';
      return Promise.resolve();
    };
    expect((await service.grow('vol-1', 2)).sizeBytes).to.equal(2 * MIB);
    expect(calls.map(({ holder }) => holder?.machineId)).to.deep.equal([undefined, 'mac-1']);
  });

  it('has in the end the largest size that was asked for', async () => {
    let release: () => void = () => undefined;
    const small = new Promise<void>((resolve) => {
      release = resolve;
    });
    meanwhile = ({ sizeBytes }) => (sizeBytes === 2 * MIB ? small : Promise.resolve());
    const both = [service.grow('vol-1', 2), service.grow('vol-1', 3)];
    await new Promise((resolve) => setImmediate(resolve)); // whatever can go on, has
    release();
    await Promise.all(both);
    expect(stored?.sizeBytes).to.equal(3 * MIB);
  });

  it('is not found when it is deleted meanwhile', async () => {
    meanwhile = () => {
      stored = undefined;
      return Promise.reject(new ApiError('file.missing', { detail: 'It is gone.', remedy: 'None.' }));
    };
    const error: unknown = await service.grow('vol-1', 2).catch((thrown: unknown) => thrown);
    expect((error as ApiError).code).to.equal('volume.not_found');
  });

  it('names the size when the file system has no room for it', async () => {
    meanwhile = () => Promise.reject(new ApiError('spec.disk_invalid', { detail: 'Too long.', remedy: 'Ask for less.' }));
    const error: unknown = await service.grow('vol-1', 2).catch((thrown: unknown) => thrown);
    expect((error as ApiError).field).to.equal('sizeMiB');
  });
});
