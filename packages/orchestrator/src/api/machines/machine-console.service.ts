// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Response } from 'express';
import { ApiError } from '../../common/api-error.js';
import { HostAgent, type HostConsole, type OpenConsoleCommand } from '../../host-agent/host-agent.js';
import type { LogsQuery } from './dto/machine-requests.dto.js';
import type { MachineMetrics } from './dto/machine.dto.js';
import type { MachineStats } from './dto/machine-stats.dto.js';
import { isLive } from './live-changes.service.js';
import { MachineRepository } from './machine.repository.js';
import { toMachineStats } from './machine-stats.js';

/** What the host tells of a machine beside its state: its console and its counters. */
@Injectable()
export class MachineConsole {
  constructor(
    private readonly repository: MachineRepository,
    private readonly agent: HostAgent,
  ) {}

  async sendLog(idOrName: string, query: LogsQuery, response: Response): Promise<void> {
    const machine = await this.repository.load(idOrName);
    const log = await this.agent.readConsole({
      id: machine.id,
      ...(query.offset === undefined ? {} : { offset: query.offset }),
      ...(query.tailBytes === undefined ? {} : { tailBytes: query.tailBytes }),
    });
    response
      .status(200)
      .set({ 'Content-Type': 'text/plain; charset=utf-8', 'X-Console-Offset': String(log.offset), 'X-Content-Type-Options': 'nosniff' });
    response.end(Buffer.from(log.bytes));
  }

  /** Attaches to a live console; fails with machine.not_found, console.port_not_found, worker.gone or console.writer_taken. */
  async open(idOrName: string, { signal, ...access }: Omit<OpenConsoleCommand, 'id'> & { signal: AbortSignal }): Promise<HostConsole> {
    const machine = await this.repository.load(idOrName);
    return this.agent.openConsole({ id: machine.id, ...access }, signal);
  }

  async metrics(idOrName: string): Promise<MachineMetrics> {
    return { counters: await this.values(idOrName) };
  }

  /** The same, added up and by part. */
  async stats(idOrName: string): Promise<MachineStats> {
    const values = await this.values(idOrName);
    return toMachineStats(values, new Date());
  }

  private async values(idOrName: string): Promise<Record<string, number>> {
    const machine = await this.repository.load(idOrName);
    if (!isLive(machine)) {
      throw new ApiError('machine.state_conflict', {
        detail: `Machine "${machine.name}" is ${machine.observed.state}; only a running one counts.`,
        remedy: 'Start the machine.',
      });
    }
    return this.agent.machineMetrics({ id: machine.id });
  }

  refuseWithoutUpgrade(): void {
    throw new ApiError('request.malformed', {
      detail: 'The console speaks WebSocket only.',
      remedy: 'Connect with a WebSocket client, or read the log: GET /v1/machines/{machine}/logs.',
    });
  }
}
