// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { newId } from '../../common/ids.js';
import type { PageQuery } from '../../common/dto/list.dto.js';
import { type Page, pageOf } from '../../common/paging.js';
import { Database } from '../../database/database.js';
import { metaValue } from '../../database/meta.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import type { PoolDto } from './dto/pool.dto.js';

/** Name of the pool every installation has. */
export const DEFAULT_POOL = 'default';

@Injectable()
export class PoolsService {
  constructor(
    private readonly database: Database,
    private readonly agent: HostAgent,
  ) {}

  async list(query: PageQuery): Promise<Page<PoolDto>> {
    return pageOf([await this.defaultPool()], query);
  }

  async get(idOrName: string): Promise<PoolDto> {
    const pool = await this.defaultPool();
    if (idOrName === pool.id || idOrName === pool.name) return pool;
    throw new ApiError('pool.not_found', {
      detail: `There is no pool with the id or name "${idOrName}".`,
      remedy: 'List the pools: GET /v1/pools.',
    });
  }

  private async defaultPool(): Promise<PoolDto> {
    const id = await metaValue(this.database, 'pool.default', () => newId('poo'));
    const usage = await this.agent.poolUsage().catch(() => undefined);
    return {
      id,
      name: DEFAULT_POOL,
      driver: 'dir',
      ...(usage ?? { capacityBytes: 0, allocatedBytes: 0, availableBytes: 0 }),
      state: usage === undefined ? 'unavailable' : 'ready',
    };
  }
}
