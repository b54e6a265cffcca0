// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import type { ErrorCode } from '../../common/error-codes.js';
import { kindsWith, type PoolCapability } from '../../common/pool.js';
import type { Pool } from './pool.js';

export const POOL_PARAM = { pool: 'Id or name of the pool.' };

/** Codes that defining a pool may answer. */
export const DEFINE_POOL_ERRORS: readonly ErrorCode[] = [
  'pool.name_taken',
  'pool.config_invalid',
  'pool.place_invalid',
  'pool.place_taken',
  'pool.outside_roots',
  'request.invalid_name',
  'host.unavailable',
];

/** Codes that actions on a pool may answer at once. */
export const POOL_ACTION_ERRORS: readonly ErrorCode[] = [
  'pool.not_found',
  'pool.built_in',
  'pool.state_conflict',
  'precondition.failed',
  'host.unavailable',
];

/** So many machines or volumes are named; there may be thousands. */
const NAMED = 3;

export class PoolNotFound extends ApiError {
  /** As a path parameter it is 404; as a field of a body it is 422 and names the field. */
  constructor(idOrName: string, field?: string) {
    super('pool.not_found', {
      detail: `There is no pool with the id or name "${idOrName}".`,
      remedy: 'List the pools: GET /v1/pools.',
      field,
      status: field === undefined ? 404 : 422,
    });
  }
}

export class PoolNameTaken extends ApiError {
  constructor(name: string) {
    super('pool.name_taken', {
      detail: `A pool with the name "${name}" exists.`,
      remedy: 'Choose another name, or delete that pool first.',
      field: 'name',
    });
  }
}

export class PoolBuiltIn extends ApiError {
  constructor(verb: string, field?: string) {
    super('pool.built_in', {
      detail: `The pool "default" belongs to every installation: images are there. It cannot ${verb}.`,
      remedy: 'Define a pool of your own: POST /v1/pools.',
      field,
    });
  }
}

export class PoolBusy extends ApiError {
  constructor(pool: Pool, operation: { id: string; kind: string }) {
    super('pool.state_conflict', {
      detail: `Operation ${operation.id} (${operation.kind}) on pool "${pool.name}" has not ended.`,
      remedy: `Wait for it with GET /v1/operations/${operation.id} and Prefer: wait=60, or cancel it.`,
    });
  }
}

export class PoolStateConflict extends ApiError {
  constructor(pool: Pool, verb: string, remedy: string) {
    super('pool.state_conflict', { detail: `Pool "${pool.name}" is ${pool.observed.state}; it cannot ${verb} now.`, remedy });
  }
}

export class PoolNotStarted extends ApiError {
  constructor(pool: Pool, field?: string) {
    super('pool.not_started', {
      detail: `Pool "${pool.name}" is ${pool.observed.state}.`,
      remedy: `Start it: \`flotilla pool start ${pool.name}\`, POST /v1/pools/${pool.name}/start.`,
      field,
    });
  }
}

export class PoolInUse extends ApiError {
  constructor(pool: Pool, machines: readonly string[]) {
    super('pool.in_use', {
      detail: `Machines use volumes of pool "${pool.name}": ${some(machines)}.`,
      remedy: 'Stop these machines first.',
    });
  }
}

export class PoolNotEmpty extends ApiError {
  constructor(pool: Pool, volumes: readonly string[]) {
    super('pool.not_empty', {
      detail: `Pool "${pool.name}" holds volumes: ${some(volumes)}.`,
      remedy: 'Delete these volumes, or the machines that they were made with, first; by force (`--force`) if the pool cannot be reached.',
    });
  }
}

export class PoolUnsupported extends ApiError {
  constructor(pool: Pick<Pool, 'name' | 'kind'>, capability: PoolCapability, field: string) {
    const able = kindsWith(capability);
    super('pool.unsupported', {
      detail: `Pool "${pool.name}" is of the kind ${pool.kind}, which has no ${capability}.`,
      remedy: able.length === 0 ? `No driver has ${capability} yet.` : `Use a pool of a kind that has it: ${able.join(', ')}.`,
      field,
    });
  }
}

export class PoolOvercommitted extends ApiError {
  constructor(pool: Pool, facts: { promised: number; wanted: number; allowed: number }, field: string) {
    super('pool.overcommitted', {
      detail: `Volumes of pool "${pool.name}" may have ${facts.allowed} bytes together (over-commit ratio ${pool.overcommitRatio}); they have ${facts.promised}, and ${facts.wanted} more are asked for.`,
      remedy: 'Ask for less, use another pool, or raise the ratio: `flotilla pool set POOL --overcommit RATIO`.',
      field,
    });
  }
}

function some(names: readonly string[]): string {
  const named = names.slice(0, NAMED).map((name) => `"${name}"`);
  return `${named.join(', ')}${names.length > NAMED ? ` and ${names.length - NAMED} more` : ''}`;
}
