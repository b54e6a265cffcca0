// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { NewEvent } from '../../common/event.js';
import type { Database } from '../../database/database.js';
import { MachineAlarms } from './machine-alarms.service.js';
import type { MachineRepository } from './machine.repository.js';

describe('What befell a guest that runs on', () => {
  let told: NewEvent[];
  let alarms: MachineAlarms;

  beforeEach(() => {
    told = [];
    const spec = { watchdog: { action: 'pause' }, disks: [{ name: 'root' }], interfaces: [{ name: 'eth0' }], shares: [{ tag: 'data' }] };
    const bare = { disks: [], interfaces: [] };
    const find = (id: string) =>
      Promise.resolve(id === 'gone' ? undefined : { id, name: `name of ${id}`, spec: id === 'bare' ? bare : spec });
    const tx = { db: undefined, emit: (event: NewEvent) => void told.push(event) };
    const database = { write: (run: (given: unknown) => Promise<unknown>) => run(tx) } as unknown as Database;
    alarms = new MachineAlarms({ find } as unknown as MachineRepository, database);
  });

  it('is an event of its machine', async () => {
    for (const id of ['a', 'gone', 'bare']) {
      await alarms.note(id, { kind: 'watchdog', action: 'pause' }, 0);
      await alarms.note(id, { kind: 'disk-full', name: 'root' }, 0);
      await alarms.note(id, { kind: 'link-lost', name: 'eth0' }, 0);
      await alarms.note(id, { kind: 'share-lost', name: 'data' }, 0);
    }
    const target = { kind: 'machine', id: 'a', name: 'name of a' };
    expect(told).to.deep.equal([
      { kind: 'machine.watchdog', target, data: { action: 'pause' } },
      { kind: 'machine.disk_full', target, data: { disk: 'root' } },
      { kind: 'machine.link_lost', target, data: { interface: 'eth0' } },
      { kind: 'machine.share_lost', target, data: { share: 'data' } },
    ]);
  });

  it('makes one event in ten seconds, however often it is told, and holds back none of another machine', async () => {
    for (let at = 0; at < 20_000; at += 100) await alarms.note('a', { kind: 'watchdog', action: 'report' }, at);
    await alarms.note('b', { kind: 'watchdog', action: 'report' }, 19_950);
    expect(told.map(({ target }) => target.id)).to.deep.equal(['a', 'a', 'b']);
  });

  it('is not told of what the machine does not have', async () => {
    for (let number = 0; number < 100; number++) {
      await alarms.note('a', { kind: 'link-lost', name: `eth${number + 1}` }, number);
      await alarms.note('a', { kind: 'disk-full', name: `root${number}` }, number);
      await alarms.note('a', { kind: 'share-lost', name: `data${number}` }, number);
    }
    expect(told).to.deep.equal([]);
  });
});
