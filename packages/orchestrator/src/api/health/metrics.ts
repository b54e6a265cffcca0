// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { Database } from '../../database/database.js';
import { EventStreams } from '../events/event-streams.service.js';
import { MachineRepository } from '../machines/machine.repository.js';
import { UnseenMachines } from '../machines/unseen-machines.js';
import { PoolsService } from '../pools/pools.service.js';
import { renderMachines } from './machine-samples.js';
import { MachineScrape } from './machine-scrape.js';
import { renderPools } from './pool-samples.js';

const SILENT =
  '# HELP flotilla_machines_silent Live machines whose worker did not answer in time.\n# TYPE flotilla_machines_silent gauge\nflotilla_machines_silent';

/** Prometheus metrics; the library is loaded at the first question, not at start. */
@Injectable()
export class Metrics {
  private registry: Promise<{ contentType: string; metrics(): Promise<string> }> | undefined;

  constructor(
    private readonly machines: MachineRepository,
    private readonly streams: EventStreams,
    private readonly database: Database,
    private readonly unseen: UnseenMachines,
    private readonly scrape: MachineScrape,
    private readonly pools: PoolsService,
  ) {}

  /** Of the orchestrator; with `machines`, which asks every worker, of these and of the storage pools as well. */
  async render({ machines }: { machines: boolean }): Promise<{ type: string; text: string }> {
    this.registry ??= this.build();
    const registry = await this.registry;
    const own = await registry.metrics();
    return {
      type: registry.contentType,
      text: machines ? `${own}\n${renderPools(await this.pools.all())}${await this.ofMachines()}` : own,
    };
  }

  private async ofMachines(): Promise<string> {
    const { answers, silent } = await this.scrape.run();
    return `${SILENT} ${silent}\n${renderMachines(answers)}`;
  }

  private async build(): Promise<{ contentType: string; metrics(): Promise<string> }> {
    const { Registry, Gauge, collectDefaultMetrics } = await import('prom-client');
    const registry = new Registry();
    collectDefaultMetrics({ register: registry });
    const { machines, streams, database, unseen } = this;
    new Gauge({
      name: 'flotilla_machines',
      help: 'Machines by observed state.',
      labelNames: ['state'],
      registers: [registry],
      async collect() {
        this.reset();
        for (const [state, count] of Object.entries(unseen.shownCounts(await machines.countByState()))) this.set({ state }, count);
      },
    });
    new Gauge({
      name: 'flotilla_operations_open',
      help: 'Operations that have not ended.',
      registers: [registry],
      async collect() {
        const row = await database.db
          .selectFrom('operations')
          .select((w) => w.fn.countAll().as('count'))
          .where('state', 'in', ['pending', 'running'])
          .executeTakeFirst();
        this.set(Number(row?.count ?? 0));
      },
    });
    new Gauge({
      name: 'flotilla_event_listeners',
      help: 'Connected event streams.',
      registers: [registry],
      collect() {
        this.set(streams.count);
      },
    });
    return registry;
  }
}
