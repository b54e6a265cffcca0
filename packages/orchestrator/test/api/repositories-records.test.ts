// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { IdempotencyStore, KEEP_IDEMPOTENCY_HOURS } from '../../src/api/idempotency/idempotency.store.js';
import { KyselyKeyRepository, type StoredKey } from '../../src/api/keys/key.repository.js';
import type { Operation } from '../../src/api/operations/operation.js';
import { KyselyOperationRepository } from '../../src/api/operations/operation.repository.js';
import type { OperationsService } from '../../src/api/operations/operations.service.js';
import { newId } from '../../src/common/ids.js';
import type { Database } from '../../src/database/database.js';
import { onEachDatabase } from '../support/databases.js';
import { everything, isTaken, LARGE, NOW } from '../support/repositories.js';
import { useDatabase } from '../support/spec-database.js';

onEachDatabase('repositories of operations, keys and idempotency', (makeDatabase) => {
  let database: Database;

  useDatabase(makeDatabase, (opened) => {
    database = opened;
  });

  describe('operations', () => {
    const operations = () => new KyselyOperationRepository(database);
    const make = (more: Partial<Operation> = {}): Operation => ({
      id: newId('op'),
      kind: 'machine.stop',
      target: { kind: 'machine', id: 'mac-1' },
      state: 'pending',
      phase: 'forward',
      steps: [{ name: 'kill', state: 'pending' }],
      input: { timeoutSeconds: 5, thenKill: true },
      cancelRequested: false,
      createdAt: NOW,
      requestedBy: 'admin',
      ...more,
    });

    it('come back as they were stored, bare and with all there can be', async () => {
      const [bare, full] = [
        make(),
        make({
          target: { kind: 'image', id: 'img-1', name: 'disk' },
          state: 'failed',
          phase: 'undo',
          progress: { bytes: LARGE, totalBytes: LARGE + 1, percent: 99 },
          result: { imageId: 'img-1' },
          error: { type: 't', title: 'T', status: 507, code: 'pool.full', detail: 'd "quoted" ü', remedy: 'r' },
          startedAt: NOW,
          endedAt: NOW,
          requestId: 'req-1',
        }),
      ];
      for (const operation of [bare, full]) await operations().insert(operation);
      expect(await operations().find(bare.id)).to.deep.equal(bare);
      expect(await operations().find(full.id)).to.deep.equal(full);
      expect(await operations().findByRequest('req-1')).to.deep.equal(full);
      expect(await operations().findByRequest('req-none')).to.equal(undefined);
    });

    it('keep that they are to be cancelled, whatever is saved of them meanwhile', async () => {
      const operation = make({ target: { kind: 'machine', id: 'mac-cancel' } });
      await operations().insert(operation);
      await operations().requestCancel(operation.id);
      await operations().save({ ...operation, state: 'running' });
      expect(await operations().find(operation.id)).to.include({ state: 'running', cancelRequested: true });
    });

    it('are found by what they are about while they are open, oldest first', async () => {
      const about = { kind: 'machine' as const, id: 'mac-2' };
      const [ended, first, second] = [
        make({ target: about, state: 'succeeded' }),
        make({ target: about }),
        make({ target: about, state: 'running' }),
      ];
      for (const operation of [ended, second, first]) await operations().insert(operation);
      expect((await operations().openFor('mac-2'))?.id).to.equal(first.id);
      expect(await operations().openFor('mac-none')).to.equal(undefined);
      expect((await operations().open()).map((one) => one.id).slice(-2)).to.deep.equal([first.id, second.id]);
      expect([...(await operations().openTargets())])
        .to.include('mac-2')
        .and.not.to.include('img-1');
      const page = (filter: { target?: string; state?: string }, after?: string) =>
        operations().page({ ...everything, ...(after === undefined ? {} : { after }) }, filter);
      expect((await page({ target: 'mac-2' })).map((one) => one.id)).to.deep.equal([ended.id, first.id, second.id]);
      expect((await page({ target: 'mac-2', state: 'running' })).map((one) => one.id)).to.deep.equal([second.id]);
      expect((await page({ target: 'mac-2' }, ended.id)).map((one) => one.id)).to.deep.equal([first.id, second.id]);
    });
  });

  describe('keys', () => {
    const keys = () => new KyselyKeyRepository(database);
    const make = (name: string, role: StoredKey['role']): StoredKey => ({
      id: newId('key'),
      name,
      role,
      secretHash: 'a'.repeat(64),
      createdAt: NOW,
    });

    it('come back as they were stored, are counted by role, and go', async () => {
      const [admin, viewer] = [make('boss', 'admin'), make('guest', 'viewer')];
      for (const key of [admin, viewer]) await keys().insert(key);
      expect(await keys().find(admin.id)).to.deep.equal(admin);
      expect(await keys().find('guest')).to.deep.equal(viewer);
      expect(await keys().countAdmins()).to.equal(1);
      expect(await isTaken(keys().insert(make('boss', 'viewer')))).to.equal(true);
      expect((await keys().page({ ...everything, after: admin.id })).map((one) => one.name)).to.deep.equal(['guest']);
      await database.write((tx) => keys().remove(admin.id, tx.db));
      expect(await keys().countAdmins()).to.equal(0);
      expect((await keys().page(everything)).map((one) => one.name)).to.deep.equal(['guest']);
    });
  });

  describe('idempotency', () => {
    const known = { requests: new Map<string, Operation>() };
    const service = {
      findByRequest: (id: string) => Promise.resolve(known.requests.get(id)),
    } as unknown as OperationsService;
    const store = () => new IdempotencyStore(database, service);

    it('lets one of many claim a key, and gives all others what that one came to', async () => {
      const claims = await Promise.all(Array.from({ length: 8 }, (_, index) => store().claim('key-a', 'once', 'print', `req-${index}`)));
      const states = claims.map((one) => one.state).sort();
      expect(states).to.deep.equal([...Array<string>(7).fill('in_flight'), 'new']);
      await store().complete('key-a', 'once', 202, { id: 'op-1', text: 'ü "x"' });
      expect(await store().claim('key-a', 'once', 'other', 'req-9')).to.deep.equal({
        state: 'done',
        fingerprint: 'print',
        status: 202,
        body: { id: 'op-1', text: 'ü "x"' },
      });
      expect((await store().claim('key-b', 'once', 'print', 'req-10')).state, 'the key of another').to.equal('new');
    });

    it('forgets what was refused', async () => {
      expect((await store().claim('key-a', 'mended', 'print', 'req-1')).state).to.equal('new');
      await store().forget('key-a', 'mended');
      expect((await store().claim('key-a', 'mended', 'print', 'req-2')).state).to.equal('new');
    });

    it('settles after a crash: done with an operation, never happened without', async () => {
      const operation = { id: 'op-crash' } as Operation;
      known.requests.set('req-with', operation);
      for (const [key, request] of [
        ['with', 'req-with'],
        ['without', 'req-without'],
      ] as const)
        await store().claim('key-c', key, 'print', request);
      await store().settleInterrupted();
      expect(await store().claim('key-c', 'with', 'print', 'req-new')).to.include({ state: 'done', status: 202 });
      expect((await store().claim('key-c', 'without', 'print', 'req-new')).state).to.equal('new');
    });

    it('keeps answers as long as the document says, and no longer', async () => {
      const rows = [
        ['young', KEEP_IDEMPOTENCY_HOURS - 1, 'done'],
        ['old', KEEP_IDEMPOTENCY_HOURS + 1, 'done'],
        ['old-open', KEEP_IDEMPOTENCY_HOURS + 1, 'in_flight'],
      ] as const;
      for (const [key, hours, state] of rows)
        await database.db
          .insertInto('idempotency')
          .values({
            principal: 'key-d',
            key,
            fingerprint: 'print',
            state,
            status: 200,
            body: 'null',
            request_id: 'req',
            created_at: new Date(Date.now() - hours * 3600 * 1000).toISOString(),
          })
          .execute();
      await store().prune();
      const left = await database.db.selectFrom('idempotency').select('key').where('principal', '=', 'key-d').orderBy('key').execute();
      expect(left.map((row) => row.key)).to.deep.equal(['old-open', 'young']);
    });
  });
});
