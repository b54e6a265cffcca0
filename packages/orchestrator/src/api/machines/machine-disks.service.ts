// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import type { WriteTransaction } from '../../database/database.js';
import type { Operation } from '../operations/operation.js';
import { OperationsService } from '../operations/operations.service.js';
import { VolumesService } from '../volumes/volumes.service.js';
import { storeDisks } from './disk.operations.js';
import { type DiskPlan, DiskPlanner } from './disk-plan.service.js';
import { planCloudInit } from './cloud-init-checks.js';
import { type DiskDto, MAX_DISKS } from './dto/machine-spec.dto.js';
import type { Machine } from './machine.js';
import { isAtRest } from './machine-change.js';
import { DiskNotFound, MachineBusy, MachineStateConflict } from './machine.errors.js';
import { MachineRepository } from './machine.repository.js';
import { targetOf } from './machine-states.service.js';
import { MachineStores } from './machine-stores.service.js';
import { checkGeneration } from './machines.service.js';
import { checkGroup } from './throttle-checks.js';
import { UnseenMachines } from './unseen-machines.js';

/** How the planner calls the disk; the body of the request is the disk. */
const DISK = 'disk';

/** Disks that machines get and lose while they are stopped. */
@Injectable()
export class MachineDisks {
  constructor(
    private readonly repository: MachineRepository,
    private readonly planner: DiskPlanner,
    private readonly stores: MachineStores,
    private readonly volumes: VolumesService,
    private readonly operations: OperationsService,
    private readonly unseen: UnseenMachines,
  ) {}

  attach(idOrName: string, body: DiskDto, ifMatch: string | undefined): Promise<Operation> {
    return ofTheBody(() => this.attachDisk(idOrName, body, ifMatch));
  }

  private async attachDisk(idOrName: string, body: DiskDto, ifMatch: string | undefined): Promise<Operation> {
    const { id, name } = await this.repository.load(idOrName);
    const plan: DiskPlan = { id, images: [], newVolumes: [], disks: [], bounds: new Map() };
    const disk = await this.planner.plan(plan, name, body, DISK);
    const made = disk.volume === undefined;
    const input = { disk, volume: plan.disks[0]?.volume ?? '', made };
    const request = { kind: 'disk.attach' as const, target: targetOf({ id, name }), input, result: { machineId: id } };
    return this.operations.submit(request, async (tx, operation) => {
      const machine = await this.atRest(id, 'attach a disk', ifMatch, tx);
      requireFits(machine, body);
      await this.stores.reserveDisks(plan, [disk], () => DISK, tx);
      const volume = plan.disks[0]?.volume ?? '';
      operation.input = { disk, volume, made };
      operation.result = { machineId: id, volumeId: volume };
    });
  }

  /** The volume stays, unless it is to go as well. */
  async detach(idOrName: string, name: string, deleteVolume: boolean, ifMatch: string | undefined): Promise<Operation> {
    const { id, ...found } = await this.repository.load(idOrName);
    const volume = volumeOf({ id, ...found }, name);
    const input = { volume, deleteVolume };
    const request = {
      kind: 'disk.detach' as const,
      target: targetOf({ id, name: found.name }),
      input,
      result: { machineId: id, volumeId: volume },
    };
    return this.operations.submit(request, async (tx) => {
      const machine = await this.atRest(id, 'detach a disk', ifMatch, tx);
      if (volumeOf(machine, name) !== volume) throw new DiskNotFound(machine, name);
      await this.volumes.giveBack(volume, id, deleteVolume, tx);
      machine.spec.disks = machine.spec.disks.filter((disk) => disk.name !== name);
      machine.observed.disks = machine.observed.disks.filter((disk) => disk.name !== name);
      await storeDisks(machine, this.repository, tx);
    });
  }

  /** A machine of which nothing runs and to which nothing is being done. */
  private async atRest(id: string, what: string, ifMatch: string | undefined, tx: WriteTransaction): Promise<Machine> {
    const machine = await this.repository.load(id, tx.db);
    checkGeneration(machine, ifMatch);
    const open = await this.operations.openFor(id, tx.db);
    if (open !== undefined) throw new MachineBusy(machine, open);
    const shown = this.unseen.shown(machine);
    if (!isAtRest(shown)) throw new MachineStateConflict(shown, `change ${what}`, 'Stop the machine first.');
    return machine;
  }
}

function volumeOf(machine: Machine, name: string): string {
  const disk = machine.observed.disks.find((one) => one.name === name);
  if (disk === undefined) throw new DiskNotFound(machine, name);
  return disk.volume;
}

function requireFits(machine: Machine, disk: DiskDto): void {
  const { disks, throttleGroups = [], cloudInit } = machine.spec;
  planCloudInit({ cloudInit }, [disk]);
  checkGroup(disk.throttle, throttleGroups, `${DISK}.throttle`);
  if (disks.some(({ name }) => name === disk.name)) {
    throw new ApiError('spec.duplicate_name', {
      detail: `Machine "${machine.name}" has a disk "${disk.name}".`,
      remedy: 'Give the disk a name of its own.',
      field: `${DISK}.name`,
    });
  }
  if (disks.length < (cloudInit === undefined ? MAX_DISKS : MAX_DISKS - 1)) return;
  throw new ApiError('spec.disk_invalid', {
    detail: `Machine "${machine.name}" has ${disks.length} disks${cloudInit === undefined ? '' : ' and that of cloud-init'}, and no machine has more.`,
    remedy: 'Detach another disk first.',
    field: `${DISK}.name`,
  });
}

/** Errors name fields of the body, which is the disk itself. */
async function ofTheBody<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof ApiError) || error.field === undefined) throw error;
    throw error.at(error.field.replace(/^disks?(?:\[0\])?(?:\.|$)/, '') || 'volume');
  }
}
