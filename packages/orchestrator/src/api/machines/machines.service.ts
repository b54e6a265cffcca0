// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import type { ListQuery } from '../../common/dto/list.dto.js';
import { type Page, pageRequest, toPage } from '../../common/paging.js';
import { isUniqueViolation } from '../../database/database.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import type { Operation } from '../operations/operation.js';
import { OperationsService } from '../operations/operations.service.js';
import { type MachineDto, type MachineMetrics, toMachineDto } from './dto/machine.dto.js';
import type { CreateMachine, UpdateMachine } from './dto/machine-requests.dto.js';
import type { Machine } from './machine.js';
import { MachineNameTaken, MachineNotFound, PreconditionFailed } from './machine.errors.js';
import { MachinePlanner, type MachinePlan, toPolicy } from './machine-plan.service.js';
import { MachineRepository } from './machine.repository.js';
import { targetOf } from './machine-states.service.js';
import { MachineStores } from './machine-stores.service.js';

/** Machines as resources: create, read, change. What they do is MachineActions' matter. */
@Injectable()
export class MachinesService {
  constructor(
    private readonly repository: MachineRepository,
    private readonly planner: MachinePlanner,
    private readonly operations: OperationsService,
    private readonly stores: MachineStores,
    private readonly agent: HostAgent,
  ) {}

  async create(body: CreateMachine): Promise<Operation> {
    if ((await this.repository.find(body.name)) !== undefined) throw new MachineNameTaken(body.name);
    const plan = await this.planner.plan(body);
    const machine = newMachine(plan, body);
    try {
      return await this.operations.submit(
        { kind: 'machine.create', target: targetOf(machine), input: { start: body.start ?? true }, result: { machineId: machine.id } },
        async (tx) => {
          machine.observed.addresses = await this.stores.reserve(plan, tx);
          await this.repository.insert(machine, plan.imageIds, tx.db);
          tx.emit({ kind: 'machine.created', target: targetOf(machine), data: { state: machine.observed.state } });
        },
      );
    } catch (error) {
      throw isUniqueViolation(error) ? new MachineNameTaken(body.name) : error;
    }
  }

  async list(query: ListQuery): Promise<Page<MachineDto>> {
    const request = pageRequest(query);
    return toPage(await this.repository.page(request), request.limit, (machine) => machine.id, toMachineDto);
  }

  async get(idOrName: string): Promise<MachineDto> {
    return toMachineDto(await this.load(idOrName));
  }

  async update(idOrName: string, body: UpdateMachine, ifMatch: string | undefined): Promise<MachineDto> {
    return this.stores.database.write(async (tx) => {
      const machine = await this.repository.find(idOrName, tx.db);
      if (machine === undefined) throw new MachineNotFound(idOrName);
      checkGeneration(machine, ifMatch);
      if (body.labels !== undefined) machine.labels = body.labels;
      if (body.restartPolicy !== undefined) machine.spec.restartPolicy = toPolicy(body.restartPolicy);
      machine.generation += 1;
      machine.updatedAt = new Date().toISOString();
      await this.repository.save(machine, tx.db);
      tx.emit({ kind: 'machine.updated', target: targetOf(machine), data: { generation: machine.generation } });
      return toMachineDto(machine);
    });
  }

  async metrics(idOrName: string): Promise<MachineMetrics> {
    const machine = await this.load(idOrName);
    if (machine.observed.state !== 'running' && machine.observed.state !== 'paused') {
      throw new ApiError('machine.state_conflict', {
        detail: `Machine "${machine.name}" is ${machine.observed.state}; only a running one counts.`,
        remedy: 'Start the machine.',
      });
    }
    return { counters: await this.agent.machineMetrics({ id: machine.id }) };
  }

  async load(idOrName: string): Promise<Machine> {
    const machine = await this.repository.find(idOrName);
    if (machine === undefined) throw new MachineNotFound(idOrName);
    return machine;
  }
}

/** Compares If-Match with the generation; `*` and absence always match. */
export function checkGeneration(machine: Machine, ifMatch: string | undefined): void {
  if (ifMatch === undefined || ifMatch.trim() === '*') return;
  const tags = ifMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  if (!tags.includes(`"${machine.generation}"`)) throw new PreconditionFailed(machine);
}

function newMachine(plan: MachinePlan, body: CreateMachine): Machine {
  const now = new Date().toISOString();
  return {
    id: plan.id,
    name: body.name,
    labels: body.labels ?? {},
    generation: 1,
    createdAt: now,
    updatedAt: now,
    spec: plan.spec,
    desired: { state: (body.start ?? true) ? 'running' : 'stopped', generation: 1 },
    observed: { state: 'creating', generation: 1, restarts: 0, attempt: 0, addresses: [], disks: plan.disks },
  };
}
