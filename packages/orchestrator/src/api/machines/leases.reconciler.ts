// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { Database } from '../../database/database.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import { type LeaseChange, leaseChange } from './machine-leases.js';
import { MachineRepository } from './machine.repository.js';
import { MachineStates } from './machine-states.service.js';

/** Brings the addresses stored for machines to the leases that their guests have taken on the host, and tells about each change. */
@Injectable()
export class LeasesReconciler {
  constructor(
    private readonly agent: HostAgent,
    private readonly machines: MachineRepository,
    private readonly states: MachineStates,
    private readonly database: Database,
  ) {}

  async reconcile(): Promise<void> {
    const machines = await this.machines.active();
    if (machines.length === 0) return;
    const leases = await this.agent.listLeases();
    for (const machine of machines) {
      if (leaseChange(machine, leases) === undefined) continue;
      await this.database.write(async (tx) => {
        let change: LeaseChange | undefined;
        await this.states.observeIn(tx, machine.id, (current) => {
          change = leaseChange(current, leases);
          return change === undefined ? undefined : { addresses: change.addresses };
        });
        for (const event of (change as LeaseChange | undefined)?.events ?? []) tx.emit(event);
      });
    }
  }
}
