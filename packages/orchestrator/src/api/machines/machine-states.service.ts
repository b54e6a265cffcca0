// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { WriteTransaction } from '../../database/database.js';
import { Database } from '../../database/database.js';
import type { Target } from '../operations/operation.js';
import type { Machine, Observed } from './machine.js';
import { MachineRepository } from './machine.repository.js';

/** A change of what is seen; `undefined` removes an optional field. */
export type ObservedChange = { [K in keyof Observed]?: Observed[K] | undefined };

/** The one place that changes what is stored about a machine, and tells about it. */
@Injectable()
export class MachineStates {
  constructor(private readonly repository: MachineRepository, private readonly database: Database) {}

  /** Changes what is seen of a machine; nothing happens when it is gone. */
  async observe(id: string, change: ObservedChange | ((machine: Machine) => ObservedChange | undefined)): Promise<void> {
    await this.database.write((tx) => this.observeIn(tx, id, change));
  }

  async observeIn(tx: WriteTransaction, id: string, change: ObservedChange | ((machine: Machine) => ObservedChange | undefined)): Promise<void> {
    const machine = await this.repository.find(id, tx.db);
    const wanted = machine === undefined || typeof change !== 'function' ? change : change(machine);
    if (machine === undefined || wanted === undefined || typeof wanted === 'function') return;
    const previous = machine.observed.state;
    machine.observed = merge(machine.observed, wanted);
    machine.updatedAt = new Date().toISOString();
    await this.repository.save(machine, tx.db);
    if (machine.observed.state !== previous) emitState(tx, machine, previous);
  }

  /** Changes the wish, and with it the generations. */
  async wish(tx: WriteTransaction, machine: Machine, desired: Machine['desired']['state'], change: ObservedChange): Promise<void> {
    const previous = machine.observed.state;
    machine.generation += 1;
    machine.desired = { state: desired, generation: machine.desired.generation + 1 };
    machine.observed = merge(machine.observed, change);
    machine.updatedAt = new Date().toISOString();
    await this.repository.save(machine, tx.db);
    if (machine.observed.state !== previous) emitState(tx, machine, previous);
  }
}

/** The machine as the target of events and operations. */
export function targetOf(machine: Pick<Machine, 'id' | 'name'>): Target {
  return { kind: 'machine', id: machine.id, name: machine.name };
}

function emitState(tx: WriteTransaction, machine: Machine, previous: string): void {
  const { state, reason } = machine.observed;
  tx.emit({
    kind: 'machine.state', target: targetOf(machine),
    data: { state, previous, ...(reason === undefined ? {} : { reason: { code: reason.code, detail: reason.detail, remedy: reason.remedy } }) },
  });
}

function merge(observed: Observed, change: ObservedChange): Observed {
  const merged: Record<string, unknown> = { ...observed, ...change };
  for (const [key, value] of Object.entries(merged)) if (value === undefined) delete merged[key];
  return merged as unknown as Observed;
}
