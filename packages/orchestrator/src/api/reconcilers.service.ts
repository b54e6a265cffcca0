// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { FlotillaEvent } from '../common/event.js';
import { Config } from '../config/config.js';
import { HostAgent } from '../host-agent/host-agent.js';
import { EventHub } from './events/event-hub.js';
import { MachineAlarms } from './machines/machine-alarms.service.js';
import { ReconcilerRuns } from './reconciler-runs.service.js';
import { StartUp } from './start-up.service.js';

/** Starts the reconcilers, and says on which events of the host and of the database each runs. */
@Injectable()
export class Reconcilers {
  private readonly stopped = new AbortController();

  constructor(
    private readonly runs: ReconcilerRuns,
    private readonly startUp: StartUp,
    private readonly agent: HostAgent,
    private readonly hub: EventHub,
    private readonly alarms: MachineAlarms,
    private readonly config: Config,
  ) {}

  /** Adopts what runs, goes on with what was interrupted, and begins to listen. */
  async start(): Promise<void> {
    const { runs } = this;
    let claimed = false; // until then what a host tells may be about another installation's machines
    this.agent.watch((event) => {
      if (!claimed) return;
      if (event.kind === 'leases' || event.kind === 'lost') runs.runLeases();
      if (event.kind === 'machine' || event.kind === 'lost') runs.runMachinesOnce();
      if (event.kind === 'lost') {
        runs.runNetworks();
        runs.runPools();
      }
      if (event.kind === 'alarm') runs.run(() => this.alarms.note(event.id, event.alarm));
    }, this.stopped.signal);
    await runs.adoptMachines(async () => {
      const settled = await this.startUp.settleHost();
      claimed = true;
      return settled;
    }, this.stopped.signal);
    if (this.stopped.signal.aborted) return;
    runs.runOrphans();
    runs.runNetworks();
    runs.runPools();
    await this.hub.listen((events) => {
      if (events.some((event) => event.kind === 'network.deleted')) runs.runOrphans();
      if (events.some((event) => event.kind === 'machine.deleted')) {
        runs.runOrphans();
        runs.runNetworks(); // whose machines that stay must no more find the one that is gone
      }
      if (events.some(isFailedDelete)) runs.runMachines(); // sets the alarm for the next attempt
      if (events.some(isEndOfMachineOperation)) runs.machineOperationEnded();
    });
    if (!this.stopped.signal.aborted) runs.repeat(this.config);
  }

  /** Resolves when no reconciler runs any more. */
  async stop(): Promise<void> {
    this.stopped.abort();
    await this.runs.stop();
  }
}

function isEndOfMachineOperation({ kind, data }: FlotillaEvent): boolean {
  if (kind !== 'operation.updated' || !('kind' in data) || !('state' in data)) return false;
  return data.kind.startsWith('machine.') && data.state !== 'pending' && data.state !== 'running';
}

function isFailedDelete({ kind, data }: FlotillaEvent): boolean {
  return kind === 'machine.state' && 'reason' in data && 'state' in data && data.state === 'deleting';
}
