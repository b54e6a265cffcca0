// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { newId } from '../../common/ids.js';
import type { PageQuery } from '../../common/dto/list.dto.js';
import { type Page, pageOf } from '../../common/paging.js';
import { Database } from '../../database/database.js';
import { metaValue } from '../../database/meta.js';
import { HostAgent, type HostDescription, type HostReport } from '../../host-agent/host-agent.js';
import type { HostDto, HostReportDto } from './dto/host.dto.js';

/** A report is taken again after this time. */
const REPORT_MILLISECONDS = 30_000;
/** And for whoever asks for a fresh one after this: it makes a virtual machine, and anybody who may read may ask. */
const FRESH_MILLISECONDS = 2_000;

@Injectable()
export class HostsService {
  private description: HostDescription | undefined;
  private report: { value: HostReport; at: number } | undefined;
  /** The report that is taken now, for all who wait for one. */
  private coming: Promise<HostReport> | undefined;

  constructor(
    private readonly database: Database,
    private readonly agent: HostAgent,
  ) {}

  async list(query: PageQuery): Promise<Page<HostDto>> {
    return pageOf([await this.thisHost()], query);
  }

  async get(idOrName: string): Promise<HostDto> {
    const host = await this.thisHost();
    if (idOrName === host.id || idOrName === host.name) return host;
    throw new ApiError('host.not_found', {
      detail: `There is no host with the id or name "${idOrName}".`,
      remedy: 'List the hosts: GET /v1/hosts.',
    });
  }

  async doctor(idOrName: string): Promise<HostReportDto> {
    await this.get(idOrName);
    return this.reportOf(FRESH_MILLISECONDS);
  }

  /** Memory of the host in MiB: the bound of one machine. */
  async memoryMiB(): Promise<number> {
    return (await this.describe()).memoryMiB;
  }

  private async thisHost(): Promise<HostDto> {
    const id = await metaValue(this.database, 'host.id', () => newId('hos'));
    const { name, cpus, memoryMiB, kernel } = await this.describe();
    const report = await this.reportOf(REPORT_MILLISECONDS);
    return { id, name, cpus, memoryMiB, kernel, kvm: report.kvm, report };
  }

  private async describe(): Promise<HostDescription> {
    this.description ??= await this.agent.describe();
    return this.description;
  }

  /** A report that is at most so old; one is taken at a time. */
  private reportOf(milliseconds: number): Promise<HostReport> {
    if (this.report !== undefined && performance.now() - this.report.at <= milliseconds) return Promise.resolve(this.report.value);
    this.coming ??= this.takeReport().finally(() => {
      this.coming = undefined;
    });
    return this.coming;
  }

  private async takeReport(): Promise<HostReport> {
    const value = await this.agent.report();
    this.report = { value, at: performance.now() };
    return value;
  }
}
