// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { WriteTransaction } from '../../database/database.js';
import { Database } from '../../database/database.js';
import type { ApiError } from '../../common/api-error.js';
import type { Target } from '../../common/event.js';
import { type Machine, type MachineState, nextDelete, type Observed } from './machine.js';
import { leaseChange } from './machine-leases.js';
import { MachineRepository } from './machine.repository.js';
import { UnseenMachines } from './unseen-machines.js';

/** A change of what is seen; `undefined` removes an optional field. */
export type ObservedChange = { [K in keyof Observed]?: Observed[K] | undefined };

/** The one place that changes what is stored about a machine, and tells about it. */
@Injectable()
export class MachineStates {
  constructor(
    private readonly repository: MachineRepository,
    private readonly database: Database,
    private readonly unseen: UnseenMachines,
  ) {}

  /** Changes what is seen of a machine; nothing happens when it is gone. */
  async observe(id: string, change: ObservedChange | ((machine: Machine) => ObservedChange | undefined)): Promise<void> {
    await this.database.write((tx) => this.observeIn(tx, id, change));
  }

  async observeIn(
    tx: WriteTransaction,
    id: string,
    change: ObservedChange | ((machine: Machine) => ObservedChange | undefined),
  ): Promise<void> {
    const machine = await this.repository.find(id, tx.db);
    const wanted = machine === undefined || typeof change !== 'function' ? change : change(machine);
    if (machine === undefined || wanted === undefined || typeof wanted === 'function') return;
    const previous = wanted.state === undefined ? machine.observed.state : this.previousState(machine);
    machine.observed = merge(machine.observed, wanted);
    if (machine.observed.state === 'stopped' || machine.observed.state === 'failed') endLeases(tx, machine);
    machine.updatedAt = new Date().toISOString();
    await this.repository.save(machine, tx.db);
    if (machine.observed.state !== previous) emitState(tx, machine, previous);
  }

  /** Machines were found as they are stored: tells so about those that were shown as unknown. */
  async confirm(machines: readonly Machine[]): Promise<void> {
    if (machines.some(({ id }) => this.unseen.has(id)))
      await this.database.write(async (tx) => {
        for (const machine of machines) if (this.unseen.seen(machine.id)) emitState(tx, machine, 'unknown');
        return Promise.resolve();
      });
  }

  /** A delete failed: the machine stays `deleting`, says why, and the reconciler tries again when the back-off is over. */
  async deleteFailed(tx: WriteTransaction, id: string, error: ApiError): Promise<void> {
    await this.observeIn(tx, id, (machine) => {
      const deleteAttempts = (machine.observed.deleteAttempts ?? 0) + 1;
      return {
        state: 'deleting',
        deleteAttempts,
        nextDeleteAt: nextDelete(deleteAttempts),
        nextRestartAt: undefined,
        reason: {
          code: error.code,
          detail: `The machine could not be deleted: ${error.message}`,
          remedy: `${error.remedy} It is tried again by itself; you may also delete it again.`,
        },
      };
    });
    const machine = await this.repository.find(id, tx.db);
    if (machine !== undefined) emitState(tx, machine, 'deleting');
  }

  /** Changes the wish, and with it the generations. */
  async wish(tx: WriteTransaction, machine: Machine, desired: Machine['desired']['state'], change: ObservedChange): Promise<void> {
    const previous = this.previousState(machine);
    machine.generation += 1;
    machine.desired = { state: desired, generation: machine.desired.generation + 1 };
    machine.observed = merge(machine.observed, change);
    machine.updatedAt = new Date().toISOString();
    await this.repository.save(machine, tx.db);
    if (machine.observed.state !== previous) emitState(tx, machine, previous);
  }

  /** The state that clients were told last. */
  private previousState(machine: Machine): MachineState {
    return this.unseen.seen(machine.id) ? 'unknown' : machine.observed.state;
  }
}

/** The machine as the target of events and operations. */
export function targetOf(machine: Pick<Machine, 'id' | 'name'>): Target {
  return { kind: 'machine', id: machine.id, name: machine.name };
}

function emitState(tx: WriteTransaction, machine: Machine, previous: string): void {
  const { state, reason } = machine.observed;
  tx.emit({
    kind: 'machine.state',
    target: targetOf(machine),
    data: {
      state,
      previous,
      ...(reason === undefined ? {} : { reason: { code: reason.code, detail: reason.detail, remedy: reason.remedy } }),
    },
  });
}

/** A guest that is gone holds no address. */
function endLeases(tx: WriteTransaction, machine: Machine): void {
  const change = leaseChange(machine, []);
  if (change === undefined) return;
  machine.observed.addresses = change.addresses;
  for (const event of change.events) tx.emit(event);
}

function merge(observed: Observed, change: ObservedChange): Observed {
  const merged: Record<string, unknown> = { ...observed, ...change };
  for (const [key, value] of Object.entries(merged)) if (value === undefined) delete merged[key];
  return merged as unknown as Observed;
}
