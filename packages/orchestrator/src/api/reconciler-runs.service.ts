// SPDX-License-Identifier: Apache-2.0
import { Inject, Injectable } from '@nestjs/common';
import { Coalesced, untilDone } from '../common/async.js';
import { runAsSystem } from '../common/context.js';
import { LOG, type Log } from '../common/log.js';
import { Housekeeping } from './housekeeping.service.js';
import { LeasesReconciler } from './machines/leases.reconciler.js';
import { MachinesReconciler } from './machines/machines.reconciler.js';
import { NetworksReconciler } from './networks/networks.reconciler.js';
import { OrphansReconciler } from './orphans.reconciler.js';
import { PoolsReconciler } from './pools/pools.reconciler.js';

/** Events of the host within this time lead to one look at the machines. */
const EVENT_MILLISECONDS = 20;
/** A timer may be early by some milliseconds: what is due is looked at a little later. */
const LATE_MILLISECONDS = 5;

/** Runs the reconcilers and the housekeeping, each never twice at once: when asked to, when a restart is due, and periodically. */
@Injectable()
export class ReconcilerRuns {
  private readonly machinesRun = new Coalesced(() => runAsSystem(() => this.machines.reconcile()));
  private readonly leasesRun = new Coalesced(() => runAsSystem(() => this.leases.reconcile()));
  private readonly orphansRun = new Coalesced(() => runAsSystem(() => this.orphans.reconcile()));
  private readonly networksRun = new Coalesced(() => runAsSystem(() => this.networks.reconcile()));
  private readonly poolsRun = new Coalesced(() => runAsSystem(() => this.pools.reconcile()));
  private readonly housekeepingRun = new Coalesced(() => this.housekeeping.prune());
  private readonly timers = new Set<NodeJS.Timeout>();
  private soon = false;
  private stopped = false;

  constructor(
    private readonly machines: MachinesReconciler,
    private readonly leases: LeasesReconciler,
    private readonly orphans: OrphansReconciler,
    private readonly networks: NetworksReconciler,
    private readonly pools: PoolsReconciler,
    private readonly housekeeping: Housekeeping,
    @Inject(LOG) private readonly log: Log,
  ) {
    machines.onWake((time) => this.later(Math.max(0, Date.parse(time) - Date.now()) + LATE_MILLISECONDS, () => this.runMachines()));
  }

  /** The first look of this process at the machines, after the host was settled; tried until it succeeds or the signal is aborted. */
  async adoptMachines(settleHost: () => Promise<{ rebooted: boolean; settled: () => Promise<void> }>, signal: AbortSignal): Promise<void> {
    const attempt = async () => {
      const { rebooted, settled } = await settleHost();
      if (rebooted) this.machines.noteHostReboot(settled);
      await this.machinesRun.trigger();
      if (!rebooted) await settled();
    };
    await untilDone(attempt, signal, (error) => {
      if (!signal.aborted) this.log.warn({ err: error }, 'what ran before could not be adopted; the next attempt comes soon');
    }).catch(() => undefined); // rejects on a stop alone
  }

  /** Looks at the machines soon. */
  runMachines(): void {
    this.guard(() => this.machinesRun.trigger());
  }

  /** One look for all the events of a moment; an operation that made them has the processor first. */
  runMachinesOnce(): void {
    if (this.soon) return;
    this.soon = true;
    this.later(EVENT_MILLISECONDS, () => {
      this.soon = false;
      this.runMachines();
    });
  }

  /** An operation on a machine has ended: looks at the machines when one was left to it that needs a look. */
  machineOperationEnded(): void {
    if (this.machines.operationEnded()) this.runMachinesOnce();
  }

  /** Looks at the addresses that guests have taken soon. */
  runLeases(): void {
    this.guard(() => this.leasesRun.trigger());
  }

  /** Looks for what nobody owns soon. */
  runOrphans(): void {
    this.guard(() => this.orphansRun.trigger());
  }

  /** Looks soon whether the host still has the networks in use as they are stored. */
  runNetworks(): void {
    this.guard(() => this.networksRun.trigger());
  }

  /** Opens soon the pools that are to be started. */
  runPools(): void {
    this.guard(() => this.poolsRun.trigger());
  }

  /** Stores what the host has told. */
  run(note: () => Promise<void>): void {
    this.guard(() => runAsSystem(note));
  }

  /** Runs everything again and again, for what no event told. */
  repeat(every: { reconcileMilliseconds: number; housekeepingMilliseconds: number }): void {
    this.every(every.reconcileMilliseconds, () => {
      this.runMachines();
      this.runLeases();
      this.runNetworks();
      this.runPools();
      this.runOrphans();
    });
    this.every(every.housekeepingMilliseconds, () => this.guard(() => this.housekeepingRun.trigger()));
  }

  /** Begins no more runs; resolves when none is under way: one that goes on would meet a closed database, or leave half done what it removes. */
  async stop(): Promise<void> {
    this.stopped = true;
    for (const timer of this.timers) clearTimeout(timer);
    const runs = [this.machinesRun, this.leasesRun, this.orphansRun, this.networksRun, this.poolsRun, this.housekeepingRun];
    await Promise.all(runs.map((run) => run.close()));
  }

  private later(milliseconds: number, run: () => void): void {
    if (this.stopped) return;
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      run();
    }, milliseconds);
    this.timers.add(timer);
  }

  private every(milliseconds: number, run: () => void): void {
    this.timers.add(setInterval(run, milliseconds));
  }

  private guard(run: () => Promise<void>): void {
    if (this.stopped) return;
    run().catch((error: unknown) => this.log.error({ err: error }, 'a reconciler failed; the next run tries again'));
  }
}
