// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { WriteTransaction } from '../../database/database.js';
import { NetworkRepository } from '../networks/network.repository.js';
import type { Operation, OperationKind } from '../operations/operation.js';
import type { Ending, OperationDefinition, Step } from '../operations/operation-definition.js';
import { VolumeRepository } from '../volumes/volume.repository.js';
import type { Machine, StateReason } from './machine.js';
import { MachineRepository } from './machine.repository.js';
import { failureChange } from './machine-failure.js';
import { leaseChange } from './machine-leases.js';
import { MachineStates, type ObservedChange } from './machine-states.service.js';
import { MachineSteps } from './machine-steps.service.js';

type StepsOf = (steps: MachineSteps, operation: Operation) => Step[];

/** Steps of every operation on machines: the whole table of what Flotilla does to one. */
const STEPS: Record<Extract<OperationKind, `machine.${string}`>, StepsOf> = {
  'machine.create': (steps, { target: { id }, input }) => [
    steps.makeVolumes(id),
    ...(input['start'] === true ? [...steps.connect(id), ...steps.launchSteps(id)] : []),
  ],
  'machine.start': (steps, { target: { id } }) => [...steps.connect(id), ...steps.launchSteps(id)],
  'machine.stop': (steps, { target: { id } }) => [...steps.powerOff(id), ...steps.clear(id)],
  'machine.kill': (steps, { target: { id } }) => steps.clear(id),
  'machine.restart': (steps, { target: { id } }) => [
    ...steps.powerOff(id),
    ...steps.clear(id),
    ...steps.connect(id, { afterStop: true }),
    ...steps.launchSteps(id),
  ],
  'machine.pause': (steps) => [steps.pause()],
  'machine.resume': (steps) => [steps.resume()],
  'machine.delete': (steps, { target: { id }, input }) => [...steps.clear(id), ...steps.destroy(id, input['force'] === true)],
};

/** State after success, where no step has set it. */
const SETTLED: Partial<Record<OperationKind, ObservedChange>> = {
  'machine.stop': { state: 'stopped', workerPid: undefined, startedAt: undefined, reason: undefined },
  'machine.kill': { state: 'stopped', workerPid: undefined, startedAt: undefined, reason: undefined },
  'machine.pause': { state: 'paused' },
  'machine.resume': { state: 'running' },
};

export type MachineOperationKind = keyof typeof STEPS;
export const MACHINE_OPERATIONS = Object.keys(STEPS) as MachineOperationKind[];

/** Joins the table of steps with what the end of an operation means for the machine. */
@Injectable()
export class MachineOperations {
  constructor(
    private readonly steps: MachineSteps,
    private readonly states: MachineStates,
    private readonly repository: MachineRepository,
    private readonly volumes: VolumeRepository,
    private readonly networks: NetworkRepository,
  ) {}

  definition(kind: MachineOperationKind): OperationDefinition {
    return {
      kind,
      steps: (operation) => STEPS[kind](this.steps, operation),
      finish: (operation, ending, tx) => this.finish(kind, operation, ending, tx),
    };
  }

  private async finish(kind: MachineOperationKind, operation: Operation, ending: Ending, tx: WriteTransaction): Promise<void> {
    const { id } = operation.target;
    const gone = kind === 'machine.delete' ? ending.state === 'succeeded' : kind === 'machine.create' && ending.state !== 'succeeded';
    if (gone) return this.forget(operation, tx);
    if (ending.state !== 'succeeded' && kind === 'machine.delete') return this.states.deleteFailed(tx, id, ending.error);
    if (ending.state !== 'succeeded') return this.states.observeIn(tx, id, (machine) => afterFailure(kind, machine, ending));
    const settled = kind === 'machine.create' && operation.input['start'] !== true ? { state: 'stopped' as const } : SETTLED[kind];
    if (settled !== undefined) await this.states.observeIn(tx, id, (machine) => ({ ...settled, generation: machine.desired.generation }));
  }

  /** Removes the machine and what it held; volumes that were given to it stay. */
  private async forget(operation: Operation, tx: WriteTransaction): Promise<void> {
    const { id } = operation.target;
    const machine = await this.repository.find(id, tx.db);
    if (machine === undefined) return;
    const given = machine.spec.disks.flatMap((disk) => (disk.volume === undefined ? [] : [disk.volume]));
    await this.volumes.release(id, given, tx.db);
    await this.volumes.remove(
      machine.observed.disks.map((disk) => disk.volume).filter((volume) => !given.includes(volume)),
      tx.db,
    );
    await this.networks.releaseAll(id, tx.db);
    await this.repository.remove(id, tx.db);
    for (const event of leaseChange(machine, [])?.events ?? []) tx.emit(event);
    tx.emit({ kind: 'machine.deleted', target: operation.target, data: {} });
  }
}

/** What a failed or cancelled operation leaves: a machine that failed to start is failed; others are looked at anew. */
function afterFailure(kind: MachineOperationKind, machine: Machine, ending: Exclude<Ending, { state: 'succeeded' }>): ObservedChange {
  const { error } = ending;
  const reason: StateReason = { code: error.code, detail: error.message, remedy: error.remedy };
  if (kind === 'machine.start' || kind === 'machine.restart') {
    if (ending.state === 'cancelled') return { state: 'stopped', reason, workerPid: undefined, startedAt: undefined };
    return failureChange(machine, reason);
  }
  return { state: 'unknown', reason };
}
