// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import type { NamedQuery } from '../../common/dto/list.dto.js';
import { newId } from '../../common/ids.js';
import { namedPage, type Page, toPage } from '../../common/paging.js';
import { PLACE_FIELDS, POOL_KINDS, type PoolPlace } from '../../common/pool.js';
import { requireMatch } from '../../common/precondition.js';
import { Database, type Executor, isUniqueViolation } from '../../database/database.js';
import { HostAgent, type PoolUsage } from '../../host-agent/host-agent.js';
import type { Operation } from '../operations/operation.js';
import { OperationsService } from '../operations/operations.service.js';
import { type PoolDto, toPoolDto } from './dto/pool.dto.js';
import { DEFAULT_GUARD_PERCENT, type DefinePool, type UpdatePool } from './dto/pool-requests.dto.js';
import { type Pool, type PoolPolicy, poolTarget, refOf } from './pool.js';
import { PoolBuiltIn, PoolNameTaken, PoolNotFound } from './pool.errors.js';
import { PoolRepository } from './pool.repository.js';
import { seenAway } from './pool-states.service.js';

const NOTHING_PROMISED = { volumes: 0, bytes: 0 };
const NO_SPACE: PoolUsage = { capacityBytes: 0, allocatedBytes: 0, availableBytes: 0 };

/** Pools as resources: define, read, change. What they do is the matter of PoolActions. */
@Injectable()
export class PoolsService {
  constructor(
    private readonly repository: PoolRepository,
    private readonly operations: OperationsService,
    private readonly database: Database,
    private readonly agent: HostAgent,
  ) {}

  async define(body: DefinePool): Promise<Operation> {
    const pool = newPool(body);
    const target = poolTarget(pool);
    const input = { start: body.start ?? true };
    try {
      return await this.operations.submit({ kind: 'pool.define', target, input, result: { poolId: pool.id } }, async (tx) => {
        await this.repository.insert(pool, tx.db);
        tx.emit({ kind: 'pool.created', target, data: { state: pool.observed.state } });
      });
    } catch (error) {
      throw isUniqueViolation(error) ? new PoolNameTaken(body.name) : error;
    }
  }

  async list(query: NamedQuery): Promise<Page<PoolDto>> {
    const request = namedPage(query);
    const page = toPage(
      await this.repository.page(request),
      request.limit,
      (pool) => pool.id,
      (pool) => pool,
    );
    return { ...page, items: await this.toDtos(page.items) };
  }

  async get(idOrName: string): Promise<PoolDto> {
    const [pool] = await this.toDtos([await this.load(idOrName)]);
    if (pool === undefined) throw new PoolNotFound(idOrName);
    return pool;
  }

  /** Every pool, with its space. */
  async all(): Promise<PoolDto[]> {
    return this.toDtos(await this.repository.all());
  }

  async update(idOrName: string, body: UpdatePool, ifMatch: string | undefined): Promise<PoolDto> {
    const { id } = await this.database.write(async (tx) => {
      const pool = await this.load(idOrName, tx.db);
      requireMatch('Pool', pool, ifMatch);
      changePolicy(pool, body);
      pool.generation += 1;
      pool.updatedAt = new Date().toISOString();
      await this.repository.save(pool, tx.db);
      tx.emit({ kind: 'pool.updated', target: poolTarget(pool), data: { generation: pool.generation } });
      return pool;
    });
    return this.get(id);
  }

  private async load(idOrName: string, db?: Executor): Promise<Pool> {
    const pool = await this.repository.find(idOrName, db);
    if (pool === undefined) throw new PoolNotFound(idOrName);
    return pool;
  }

  private async toDtos(pools: readonly Pool[]): Promise<PoolDto[]> {
    const promises = await this.repository.promises();
    return Promise.all(
      pools.map(async (pool) => {
        const { volumes, bytes: promisedBytes } = promises.get(pool.name) ?? NOTHING_PROMISED;
        const { shown, usage } = await this.look(pool);
        return toPoolDto(shown, { ...usage, volumes, promisedBytes });
      }),
    );
  }

  /** What the host says of it now. */
  private async look(pool: Pool): Promise<{ shown: Pool; usage: PoolUsage }> {
    if (pool.observed.state !== 'ready') return { shown: pool, usage: NO_SPACE };
    const ref = refOf(pool);
    try {
      return { shown: pool, usage: await this.agent.poolUsage(ref === undefined ? {} : { pool: ref }) };
    } catch (error) {
      return { shown: { ...pool, observed: seenAway(pool, ApiError.from(error)) }, usage: NO_SPACE };
    }
  }
}

function newPool(body: DefinePool): Pool {
  const now = new Date().toISOString();
  return {
    id: newId('poo'),
    name: body.name,
    ...placeOf(body),
    autostart: body.autostart ?? true,
    guardPercent: body.guardPercent ?? DEFAULT_GUARD_PERCENT,
    ...(body.overcommitRatio === undefined ? {} : { overcommitRatio: body.overcommitRatio }),
    generation: 1,
    desired: (body.start ?? true) ? 'started' : 'stopped',
    observed: { state: 'creating', capabilities: [], guarded: false },
    createdAt: now,
    updatedAt: now,
  };
}

/** The configuration of its kind, and of no other. */
function placeOf(body: DefinePool): PoolPlace {
  const field = PLACE_FIELDS[body.kind];
  if (body[field] === undefined) throw misconfigured(`A pool of the kind ${body.kind} needs the field ${field}.`, field);
  const other = POOL_KINDS.map((kind) => PLACE_FIELDS[kind]).find((one) => one !== field && body[one] !== undefined);
  if (other !== undefined) throw misconfigured(`A pool of the kind ${body.kind} has no field ${other}.`, other);
  // As plain objects: they are stored and sent.
  return structuredClone({ kind: body.kind, config: { ...body[field] } }) as PoolPlace;
}

function misconfigured(detail: string, field: string): ApiError {
  return new ApiError('pool.config_invalid', { detail, remedy: 'Give the configuration that belongs to `kind`, and no other.', field });
}

function changePolicy(pool: Pool, { autostart, guardPercent, overcommitRatio }: UpdatePool): void {
  const fixed = autostart !== undefined ? 'autostart' : guardPercent !== undefined ? 'guardPercent' : undefined;
  if (pool.config === undefined && fixed !== undefined) throw new PoolBuiltIn(`change its ${fixed}`, fixed);
  const changed: Partial<PoolPolicy> = {
    ...(autostart === undefined ? {} : { autostart }),
    ...(guardPercent === undefined ? {} : { guardPercent }),
    ...(typeof overcommitRatio === 'number' ? { overcommitRatio } : {}),
  };
  Object.assign(pool, changed);
  if (overcommitRatio === null) delete pool.overcommitRatio;
}
