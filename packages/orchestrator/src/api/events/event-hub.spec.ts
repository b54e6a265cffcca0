// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { pino } from 'pino';
import { useSqlite } from '../../../test/support/spec-database.js';
import type { FlotillaEvent } from '../../common/event.js';
import type { Database } from '../../database/database.js';
import { EventHub } from './event-hub.js';
import { EventRepository } from './event.repository.js';

describe('the event hub', () => {
  let database: Database;
  let repository: Counting;
  let hub: EventHub;
  const stays = () => new AbortController().signal;

  useSqlite((opened) => {
    database = opened;
  });
  beforeEach(() => {
    repository = new Counting(database);
    hub = new EventHub(repository, database, pino({ level: 'silent' }));
  });
  afterEach(() => hub.close());

  const emit = (id: string) =>
    database.write((tx) => {
      tx.emit({ kind: 'machine.deleted', target: { kind: 'machine', id }, data: {} });
      return Promise.resolve();
    });
  const store = (seq: number) =>
    database.db
      .insertInto('events')
      .values({
        seq,
        kind: 'machine.deleted',
        time: '',
        target_kind: 'machine',
        target_id: 'x',
        target_name: null,
        data: '{}',
        request_id: null,
      })
      .execute();
  const ids = (events: readonly FlotillaEvent[] | undefined) => events?.map(({ id }) => id);

  it('asks the database once for all readers who keep up', async () => {
    const last = await hub.open();
    const reading = Array.from({ length: 50 }, () => hub.next(last, stays()));
    await emit('one');
    for (const events of await Promise.all(reading)) expect(ids(events)).to.deep.equal([last + 1]);
    const asked = repository.questions;
    expect(ids(await hub.next(last, stays())), 'one that comes a little late').to.deep.equal([last + 1]);
    expect(repository.questions).to.equal(asked).and.to.be.below(5);
  });

  it('goes on over numbers that a failed transaction took, and ends a reader who misses what is no longer kept', async () => {
    const begin = (await repository.bounds()).last;
    for (const number of [1, 2, 5, 6]) await store(begin + number);
    await hub.open();
    expect(ids(await hub.next(begin + 2, stays()))).to.deep.equal([begin + 5, begin + 6]);
    await repository.prune(2);
    expect(await hub.next(begin + 1, stays())).to.equal(undefined);
    expect(ids(await hub.next(begin + 4, stays()))).to.deep.equal([begin + 5, begin + 6]);
  });

  it('ends a reader who misses what was dropped before it was told', async () => {
    const last = await hub.open();
    for (const number of [1, 2, 3, 4, 5]) await store(last + number);
    await repository.prune(2);
    const reading = hub.next(last, stays());
    await emit('now');
    expect(await reading).to.equal(undefined);
  });

  it('lets a reader go who leaves while there is nothing to read', async () => {
    const reader = new AbortController();
    const reading = hub.next(await hub.open(), reader.signal);
    reader.abort();
    expect(await reading).to.equal(undefined);
  });
});

/** Counts the questions for events. */
class Counting extends EventRepository {
  questions = 0;

  override after(seq: number, limit: number): Promise<FlotillaEvent[]> {
    this.questions += 1;
    return super.after(seq, limit);
  }
}
