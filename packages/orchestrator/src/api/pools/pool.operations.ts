// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { ApiError } from '../../common/api-error.js';
import type { PoolRef } from '../../common/pool.js';
import type { WriteTransaction } from '../../database/database.js';
import { HostAgent, type LeavePoolCommand, type PoolFacts } from '../../host-agent/host-agent.js';
import type { Operation, OperationKind } from '../operations/operation.js';
import type { Ending, OperationDefinition, Step } from '../operations/operation-definition.js';
import { type Pool, type PoolObserved, poolTarget, refOf } from './pool.js';
import { PoolNotFound } from './pool.errors.js';
import { PoolRepository } from './pool.repository.js';
import { PoolStates, reasonOf, seenAway, seenReady, seenStopped } from './pool-states.service.js';

type StepsOf = (steps: PoolSteps, operation: Operation) => Step[];

/** Steps of every operation on pools. */
const STEPS: Record<Extract<OperationKind, `pool.${string}`>, StepsOf> = {
  'pool.define': (steps, { input }) => [steps.make(), ...(input['start'] === true ? [steps.open()] : [])],
  'pool.start': (steps) => [steps.open()],
  'pool.refresh': (steps) => [steps.open()],
  'pool.stop': (steps) => [steps.close()],
  // A place that cannot be reached is not forgotten unless that is what is wanted: what is on it would stay there for ever.
  'pool.delete': (steps, { input }) => [...(input['force'] === true ? [] : [steps.open()]), steps.close(), steps.remove()],
};

export type PoolOperationKind = keyof typeof STEPS;
export const POOL_OPERATIONS = Object.keys(STEPS) as PoolOperationKind[];

/** The steps pools are moved by. Each comes to the same end however often it runs. */
@Injectable()
export class PoolSteps {
  constructor(
    private readonly agent: HostAgent,
    private readonly repository: PoolRepository,
  ) {}

  /** Makes the place. */
  make(): Step {
    return {
      name: 'make',
      run: async ({ operation }) => this.agent.makePool(await this.ref(operation)),
      // What cannot be reached may be why it failed.
      undo: async (operation) => this.agent.removePool({ pool: await this.ref(operation), force: true }),
    };
  }

  open(): Step {
    return {
      name: 'open',
      run: async ({ operation, aside }) => {
        operation.result = { ...operation.result, ...(await aside(async () => this.lookAt(operation))) };
      },
    };
  }

  close(): Step {
    return { name: 'close', run: async ({ operation, aside }) => aside(async () => this.agent.closePool(await this.leaving(operation))) };
  }

  /** Begins when it is recorded that the place was found: repeated after a kill, it may be gone. */
  remove(): Step {
    return { name: 'remove', barrier: true, run: async ({ operation }) => this.agent.removePool(await this.leaving(operation)) };
  }

  private async lookAt(operation: Operation): Promise<PoolFacts> {
    const pool = await this.load(operation);
    const ref = refOf(pool);
    if (ref !== undefined) return this.agent.openPool(ref);
    return { ...(await this.agent.poolUsage({})), capabilities: pool.observed.capabilities };
  }

  private async leaving(operation: Operation): Promise<LeavePoolCommand> {
    return { pool: await this.ref(operation), force: operation.input['force'] === true };
  }

  private async ref(operation: Operation): Promise<PoolRef> {
    const ref = refOf(await this.load(operation));
    if (ref === undefined) throw new Error('The pool that every installation has is neither made nor removed.');
    return ref;
  }

  private async load({ target }: Operation): Promise<Pool> {
    const pool = await this.repository.find(target.id);
    if (pool === undefined) throw new PoolNotFound(target.id);
    return pool;
  }
}

/** Joins the table of steps with what the end of an operation means for the pool. */
@Injectable()
export class PoolOperations {
  constructor(
    private readonly steps: PoolSteps,
    private readonly states: PoolStates,
    private readonly repository: PoolRepository,
  ) {}

  definition(kind: PoolOperationKind): OperationDefinition {
    return {
      kind,
      steps: (operation) => STEPS[kind](this.steps, operation),
      finish: (operation, ending, tx) => this.finish(kind, operation, ending, tx),
    };
  }

  private async finish(kind: PoolOperationKind, operation: Operation, ending: Ending, tx: WriteTransaction): Promise<void> {
    const pool = await this.repository.find(operation.target.id, tx.db);
    if (pool === undefined) return;
    const succeeded = ending.state === 'succeeded';
    if (kind === (succeeded ? 'pool.delete' : 'pool.define')) {
      await this.repository.remove(pool.id, tx.db);
      tx.emit({ kind: 'pool.deleted', target: poolTarget(pool), data: {} });
      return;
    }
    if (ending.state !== 'succeeded') return this.settleFailed(kind, pool, ending, tx);
    const facts = operation.result as unknown as Partial<PoolFacts> | undefined;
    const opened = facts?.capabilities === undefined ? undefined : (facts as PoolFacts);
    await this.states.settle(tx, pool, opened === undefined ? seenStopped(pool) : seenReady(opened), opened);
  }

  private async settleFailed(
    kind: PoolOperationKind,
    pool: Pool,
    { state, error }: Exclude<Ending, { state: 'succeeded' }>,
    tx: WriteTransaction,
  ): Promise<void> {
    if (kind === 'pool.stop') pool.desired = 'started';
    // Who gave a start up does not want it to be tried again.
    if (kind === 'pool.start' && state === 'cancelled') pool.desired = 'stopped';
    await this.states.settle(tx, pool, afterFailure(kind, pool, error));
  }
}

/** A pool that could not be opened is tried again; one that could not be deleted stays, and is stopped. */
function afterFailure(kind: PoolOperationKind, pool: Pool, error: ApiError): PoolObserved {
  if (pool.desired === 'stopped') {
    const stopped = seenStopped(pool);
    return kind === 'pool.delete' ? { ...stopped, reason: reasonOf(error) } : stopped;
  }
  if (kind === 'pool.stop' || error.code === 'operation.cancelled') return pool.observed;
  return seenAway(pool, error);
}
