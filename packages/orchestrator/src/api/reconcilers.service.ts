// SPDX-License-Identifier: Apache-2.0
import { Inject, Injectable } from '@nestjs/common';
import { Coalesced } from '../common/async.js';
import { runAsSystem } from '../common/context.js';
import { LOG, type Log } from '../common/log.js';
import { Config } from '../config/config.js';
import { HostAgent } from '../host-agent/host-agent.js';
import type { FlotillaEvent } from './events/event.js';
import { EventHub } from './events/event-hub.js';
import { HealthService } from './health/health.service.js';
import { LeasesReconciler } from './machines/leases.reconciler.js';
import { MachineServices } from './machines/machine-services.service.js';
import { MachinesReconciler } from './machines/machines.reconciler.js';
import { OrphansReconciler } from './orphans.reconciler.js';
import { Housekeeping, StartUp } from './start-up.service.js';

/** What the reconcilers need beside each other. */
@Injectable()
export class ReconcilerParts {
  constructor(readonly agent: HostAgent, readonly startUp: StartUp, readonly health: HealthService, readonly services: MachineServices, private readonly housekeeping: Housekeeping, readonly hub: EventHub, readonly leases: LeasesReconciler) {}

  prune(eventWindow: number): Promise<void> {
    return this.housekeeping.prune(eventWindow);
  }
}

/** Events of the host within this time lead to one look at the machines. */
const EVENT_MILLISECONDS = 20;

/** Runs the reconcilers: at start, on every change on the host, when a restart is due, and periodically. */
@Injectable()
export class Reconcilers {
  private readonly machinesRun = new Coalesced(() => runAsSystem(() => this.machines.reconcile()));
  private readonly leasesRun = new Coalesced(() => runAsSystem(() => this.parts.leases.reconcile()));
  private readonly orphansRun = new Coalesced(() => runAsSystem(() => this.orphans.reconcile()));
  private readonly stopped = new AbortController();
  private readonly timers = new Set<NodeJS.Timeout>();
  private soon = false;

  constructor(private readonly machines: MachinesReconciler, private readonly orphans: OrphansReconciler, private readonly parts: ReconcilerParts, private readonly config: Config, @Inject(LOG) private readonly log: Log) {}

  /** Adopts what runs, goes on with what was interrupted, and begins to listen. */
  async start(): Promise<void> {
    const { agent, startUp, health, services, hub } = this.parts;
    services.onWake((time) => this.later(Math.max(0, Date.parse(time) - Date.now()) + 5, () => this.runMachines()));
    agent.watch((event) => {
      if (event.kind !== 'machine') this.runLeases();
      if (event.kind !== 'leases') this.runMachinesSoon();
    }, this.stopped.signal);
    const { rebooted } = await startUp.settleHost(agent);
    if (rebooted) this.machines.noteHostReboot();
    await this.machinesRun.trigger();
    health.markStarted();
    this.runOrphans();
    await hub.listen((events) => {
      if (events.some((event) => event.kind === 'machine.deleted')) this.runOrphans();
      if (events.some(isFailedDelete)) this.runMachines(); // sets the alarm for the next attempt
    });
    this.every(this.config.reconcileMilliseconds, () => {
      this.runMachines();
      this.runLeases();
      this.runOrphans();
    });
    this.every(this.config.housekeepingMilliseconds, () => this.guard(this.parts.prune(this.config.eventWindow)));
  }

  /** One look for all the events of a moment; an operation that made them has the processor first. */
  private runMachinesSoon(): void {
    if (this.soon) return;
    this.soon = true;
    this.later(EVENT_MILLISECONDS, () => {
      this.soon = false;
      this.runMachines();
    });
  }

  /** Looks at the machines soon. */
  runMachines(): void {
    if (!this.stopped.signal.aborted) this.guard(this.machinesRun.trigger());
  }

  /** Looks at the addresses that guests have taken soon. */
  runLeases(): void {
    if (!this.stopped.signal.aborted) this.guard(this.leasesRun.trigger());
  }

  /** Looks for what nobody owns soon. */
  runOrphans(): void {
    if (!this.stopped.signal.aborted) this.guard(this.orphansRun.trigger());
  }

  stop(): void {
    this.stopped.abort();
    for (const timer of this.timers) clearTimeout(timer);
  }

  private later(milliseconds: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      run();
    }, milliseconds);
    this.timers.add(timer);
  }

  private every(milliseconds: number, run: () => void): void {
    this.timers.add(setInterval(run, milliseconds));
  }

  private guard(work: Promise<void>): void {
    work.catch((error: unknown) => this.log.error({ err: error }, 'a reconciler failed; the next run tries again'));
  }
}

function isFailedDelete({ kind, data }: FlotillaEvent): boolean {
  return kind === 'machine.state' && 'reason' in data && 'state' in data && data.state === 'deleting';
}
