// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { pino } from 'pino';
import { useSqlite } from '../../../test/support/spec-database.js';
import { ApiError } from '../../common/api-error.js';
import { newId } from '../../common/ids.js';
import type { PoolRef } from '../../common/pool.js';
import type { Database } from '../../database/database.js';
import type { Pool } from './pool.js';
import { KyselyPoolRepository } from './pool.repository.js';
import { PoolStates } from './pool-states.service.js';
import { PoolsReconciler } from './pools.reconciler.js';

describe('The reconciler of pools', () => {
  let database: Database;
  let busy: string[];
  let opened: string[];
  let failure: ApiError | undefined;

  useSqlite((made) => {
    database = made;
  });

  const repository = () => new KyselyPoolRepository(database);
  const space = { capacityBytes: 100, allocatedBytes: 0, availableBytes: 50 };
  const agent = {
    poolUsage: () => Promise.resolve(space),
    openPool: ({ id }: PoolRef) => {
      opened.push(id);
      return failure === undefined ? Promise.resolve({ ...space, capabilities: ['resize'] }) : Promise.reject(failure);
    },
  };
  const operations = { openFor: (id: string) => Promise.resolve(busy.includes(id) ? {} : undefined) };
  const reconciler = () =>
    new PoolsReconciler(
      repository(),
      operations as never,
      new PoolStates(repository()),
      database,
      agent as never,
      pino({ level: 'silent' }),
    );
  const put = async (name: string, more: Partial<Pool>): Promise<string> => {
    const id = newId('poo');
    const pool: Pool = {
      id,
      name,
      kind: 'dir',
      config: { path: `/srv/${name}` },
      autostart: true,
      guardPercent: 5,
      generation: 1,
      desired: 'started',
      observed: { state: 'ready', capabilities: ['resize'], guarded: false },
      createdAt: '',
      updatedAt: '',
      ...more,
    };
    await database.write((tx) => repository().insert(pool, tx.db));
    return id;
  };
  const seen = async (id: string) => {
    const pool = await repository().find(id);
    return [pool?.desired, pool?.observed.state];
  };

  beforeEach(async () => {
    [busy, opened, failure] = [[], [], undefined];
    await database.db.deleteFrom('pools').where('name', '<>', 'default').execute();
  });

  it('starts after a restart of the host what is to be started by itself, and nothing else', async () => {
    const stopped: Partial<Pool> = { desired: 'stopped', observed: { state: 'stopped', capabilities: [], guarded: false } };
    const started = await put('on', stopped);
    const left = await put('off', { autostart: false });
    for (let turn = 0; turn < 2; turn += 1) await reconciler().noteHostReboot();
    expect([await seen(started), await seen(left)]).to.deep.equal([
      ['started', 'stopped'],
      ['stopped', 'stopped'],
    ]);
    await reconciler().reconcile();
    expect([await seen(started), await seen(left), opened]).to.deep.equal([['started', 'ready'], ['stopped', 'stopped'], [started]]);
  });

  it('notes a pool that cannot be reached, but not that its host agent is away, nor what an operation is about', async () => {
    const id = await put('p', {});
    failure = new ApiError('host.unavailable', { detail: '', remedy: '' });
    await reconciler().reconcile();
    expect(await seen(id)).to.deep.equal(['started', 'ready']);
    failure = new ApiError('pool.unavailable', { detail: 'gone', remedy: 'mount it' });
    busy = [id];
    await reconciler().reconcile();
    expect(await seen(id)).to.deep.equal(['started', 'ready']);
    busy = [];
    await reconciler().reconcile();
    expect((await repository().find(id))?.observed).to.deep.equal({
      state: 'unavailable',
      reason: { code: 'pool.unavailable', detail: 'gone', remedy: 'mount it' },
      capabilities: ['resize'],
      guarded: false,
    });
    failure = undefined;
    await reconciler().reconcile();
    expect((await repository().find(id))?.observed).to.deep.equal({ state: 'ready', capabilities: ['resize'], guarded: false });
  });
});
