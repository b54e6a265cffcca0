// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { LabelledQuery } from '../../common/dto/list.dto.js';
import { requireMatch } from '../../common/precondition.js';
import { type Page, labelledPage, toPage } from '../../common/paging.js';
import { Database, isUniqueViolation } from '../../database/database.js';
import type { Operation } from '../operations/operation.js';
import { OperationsService } from '../operations/operations.service.js';
import { type MachineDto, toMachineDto } from './dto/machine.dto.js';
import type { CreateMachine, UpdateMachine } from './dto/machine-requests.dto.js';
import type { Machine } from './machine.js';
import { MachineNameTaken } from './machine.errors.js';
import { changeMachine } from './machine-change.js';
import { MachinePlanner, type MachinePlan } from './machine-plan.service.js';
import { MachineRepository } from './machine.repository.js';
import { targetOf } from './machine-states.service.js';
import { MachineStores } from './machine-stores.service.js';
import { UnseenMachines } from './unseen-machines.js';

/** Machines as resources: create, read, change. What they do is MachineActions' matter. */
@Injectable()
export class MachinesService {
  constructor(
    private readonly repository: MachineRepository,
    private readonly planner: MachinePlanner,
    private readonly operations: OperationsService,
    private readonly stores: MachineStores,
    private readonly unseen: UnseenMachines,
    private readonly database: Database,
  ) {}

  async create(body: CreateMachine): Promise<Operation> {
    if ((await this.repository.find(body.name)) !== undefined) throw new MachineNameTaken(body.name);
    const plan = await this.planner.plan(body);
    const machine = newMachine(plan, body);
    try {
      return await this.operations.submit(
        { kind: 'machine.create', target: targetOf(machine), input: { start: body.start ?? true }, result: { machineId: machine.id } },
        async (tx) => {
          machine.observed.addresses = await this.stores.reserve(plan, body.start ?? true, tx);
          const images = plan.images.map(({ id }) => id);
          await this.repository.insert(machine, images, tx.db);
          tx.emit({ kind: 'machine.created', target: targetOf(machine), data: { state: machine.observed.state } });
        },
      );
    } catch (error) {
      throw isUniqueViolation(error) ? new MachineNameTaken(body.name) : error;
    }
  }

  async list(query: LabelledQuery): Promise<Page<MachineDto>> {
    const request = labelledPage(query);
    return toPage(
      await this.repository.page(request),
      request.limit,
      (machine) => machine.id,
      (machine) => this.toDto(machine),
    );
  }

  async get(idOrName: string): Promise<MachineDto> {
    return this.toDto(await this.repository.load(idOrName));
  }

  async update(idOrName: string, body: UpdateMachine, ifMatch: string | undefined): Promise<MachineDto> {
    await this.planner.checkHost(body);
    const changed = this.database.write(async (tx) => {
      const machine = await this.repository.load(idOrName, tx.db);
      checkGeneration(machine, ifMatch);
      changeMachine(machine, body);
      machine.generation += 1;
      machine.updatedAt = new Date().toISOString();
      await this.repository.save(machine, tx.db);
      tx.emit({ kind: 'machine.updated', target: targetOf(machine), data: { generation: machine.generation } });
      return this.toDto(machine);
    });
    return changed.catch((error: unknown) => {
      throw isUniqueViolation(error) ? new MachineNameTaken(body.name ?? idOrName) : error;
    });
  }

  private toDto(machine: Machine): MachineDto {
    return toMachineDto(this.unseen.shown(machine));
  }
}

/** Compares If-Match with the generation. */
export function checkGeneration(machine: Machine, ifMatch: string | undefined): void {
  requireMatch('Machine', machine, ifMatch);
}

function newMachine(plan: MachinePlan, body: CreateMachine): Machine {
  const now = new Date().toISOString();
  return {
    id: plan.id,
    name: body.name,
    labels: body.labels ?? {},
    notes: body.notes ?? '',
    protected: body.protected ?? false,
    generation: 1,
    createdAt: now,
    updatedAt: now,
    spec: plan.spec,
    desired: { state: (body.start ?? true) ? 'running' : 'stopped', generation: 1 },
    observed: { state: 'creating', generation: 1, restarts: 0, attempt: 0, addresses: [], disks: plan.disks },
  };
}
