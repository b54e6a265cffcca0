// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../common/api-error.js';
import type { KeyedQueue } from '../common/async.js';
import { MAX_DISK_MIB } from '../common/volume-storage.js';
import type { GrowVolumeCommand, VolumeFacts, VolumeHolder } from '../host-agent/host-agent.js';
import type { Hypervisor } from './hypervisor/hypervisor.js';
import type { HostPools } from './storage/host-pools.js';

/** Makes volumes larger, also those that a worker has open. */
export class VolumeGrowth {
  constructor(
    private readonly parts: { pools: HostPools; hypervisor: Hypervisor },
    /** Commands of one machine run one after another. */
    private readonly queue: KeyedQueue,
  ) {}

  async grow(command: GrowVolumeCommand): Promise<VolumeFacts> {
    const { holder } = command;
    if (holder === undefined) return this.growHere(command);
    // In turn with the machine's own commands: one that is just made finds the new size by itself.
    return this.queue.run(holder.machineId, () =>
      command.format === 'qcow2' ? this.growImage(command, holder) : this.growFile(command, holder),
    );
  }

  private growHere({ pool, holder: _holder, ...volume }: GrowVolumeCommand): Promise<VolumeFacts> {
    return this.parts.pools.use(pool, (opened) => opened.growVolume(volume));
  }

  /** The length of the file is the size of the disk: anybody may change it, and the guest is told. */
  private async growFile(command: GrowVolumeCommand, { machineId, disk }: VolumeHolder): Promise<VolumeFacts> {
    const { hypervisor } = this.parts;
    const facts = await this.growHere(command);
    if (!(await this.lives(machineId))) return facts;
    await hypervisor.refreshDisk(machineId, disk).catch(async (error: unknown) => {
      if (await this.lives(machineId)) throw error; // a guest that has ended meanwhile finds the new size when it starts
    });
    return facts;
  }

  /** The image has its size in itself, and is changed by the worker that has it open or, when there is none, here. */
  private async growImage(command: GrowVolumeCommand, { machineId, disk }: VolumeHolder): Promise<VolumeFacts> {
    const { hypervisor } = this.parts;
    if (await this.lives(machineId)) {
      try {
        const sizeBytes = await hypervisor.growDisk(machineId, disk, command.sizeBytes);
        // Its guest may have taken the worker over, and then it may say anything.
        if (!Number.isSafeInteger(sizeBytes) || sizeBytes < command.sizeBytes || sizeBytes > MAX_DISK_MIB * 2 ** 20) {
          throw new ApiError('worker.failed', {
            detail: `The worker of machine ${machineId} says that its disk has ${sizeBytes} bytes after it was made ${command.sizeBytes} bytes long.`,
            remedy: 'Look at the machine, kill it, and try again.',
          });
        }
        return { sizeBytes };
      } catch (error) {
        if (await this.lives(machineId)) throw error;
      }
    }
    return this.growHere(command);
  }

  private async lives(machineId: string): Promise<boolean> {
    return (await this.parts.hypervisor.list()).some(({ id, state }) => id === machineId && state !== 'stopped');
  }
}
