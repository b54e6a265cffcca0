// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { useSqlite } from '../../test/support/spec-database.js';
import type { Database } from '../database/database.js';
import { Installation } from './installation.service.js';
import { StartUp } from './start-up.service.js';

describe('the start', () => {
  let database: Database;

  useSqlite((opened) => {
    database = opened;
  });

  /** One start of the process over what is stored, with an agent that answers `bootId` after so many failures. */
  function start(stored: { images: string[]; operations: { id: string }[] }, bootId: string, failures = 0) {
    const done = { discarded: [] as string[], resumed: [] as string[] };
    let left = failures;
    const describe = () => {
      left -= 1;
      return left >= 0 ? Promise.reject(new Error('not there')) : Promise.resolve({ bootId });
    };
    const parts = {
      operations: {
        interrupted: () => Promise.resolve([...stored.operations]),
        resume: (open: { id: string }[]) => {
          done.resumed.push(...open.map(({ id }) => id));
        },
      },
      images: { ids: () => Promise.resolve([...stored.images]) },
      uploads: {
        discardInterrupted: (ids: string[]) => {
          done.discarded.push(...ids);
          return Promise.resolve();
        },
      },
      agent: { describe, claim: () => Promise.resolve() },
    };
    return {
      done,
      service: new StartUp(
        new Installation(database, parts.agent as never),
        parts.operations as never,
        parts.images as never,
        parts.uploads as never,
        { noteHostReboot: () => Promise.resolve() } as never,
      ),
    };
  }

  it('leaves alone what begins once requests are taken', async () => {
    const stored = { images: ['img-old'], operations: [{ id: 'op-old' }] };
    const { service, done } = start(stored, 'boot-1');
    await service.collect();
    stored.images.push('img-new');
    stored.operations.push({ id: 'op-new' });
    const { rebooted, settled } = await service.settleHost();
    expect(rebooted).to.equal(false);
    await settled();
    expect(done).to.deep.equal({ discarded: ['img-old'], resumed: ['op-old'] });
  });

  it('can be tried again while there is no agent, and still tells of a host that was restarted', async () => {
    const { service, done } = start({ images: [], operations: [{ id: 'op-old' }] }, 'boot-2', 1);
    await service.collect();
    expect(await service.settleHost().catch((error: unknown) => String(error))).to.contain('not there');
    expect(done.resumed).to.deep.equal([]);
    expect((await service.settleHost()).rebooted).to.equal(true);
    expect((await service.settleHost()).rebooted, 'what came after it failed').to.equal(true);
  });

  it('tells of a host that was restarted until what ended with it is stored, also to a process after this one', async () => {
    const killed = start({ images: [], operations: [] }, 'boot-3').service;
    expect((await killed.settleHost()).rebooted).to.equal(true);
    const next = start({ images: [], operations: [] }, 'boot-3').service;
    const { rebooted, settled } = await next.settleHost();
    expect(rebooted).to.equal(true);
    await settled();
    expect((await start({ images: [], operations: [] }, 'boot-3').service.settleHost()).rebooted).to.equal(false);
  });
});
