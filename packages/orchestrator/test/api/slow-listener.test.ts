// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { Database } from '../../src/database/database.js';
import { Orchestrator } from '../support/orchestrator.js';

const MEBIBYTE = 1024 * 1024;
const SLOW_LISTENERS = 4;
/** Of 5,000 events each, 7.5 MiB that happen at one moment. */
const ROUNDS = 16;
const BURST = 5_000;
/**
 * What the orchestrator may grow by while the listeners leave 480 MiB unread: the batches it reads, and the garbage of making them. Of that V8
 * lets 30 or 120 MiB come together, by how large its heap was before; it is the same after 60 MiB of events and after 240.
 */
const MAX_GROWTH_BYTES = 200 * MEBIBYTE;
/** Who takes in too little for so long is disconnected. */
const STALL_MILLISECONDS = 2_000;

describe('a listener of events', function () {
  this.timeout(60_000);
  let flotilla: Orchestrator;
  let database: Database;
  const sockets: Socket[] = [];

  beforeEach(async () => {
    flotilla = await new Orchestrator().start({ FLOTILLA_EVENT_WINDOW: '1000000', FLOTILLA_EVENT_STALL_MS: String(STALL_MILLISECONDS) });
    database = Database.openSqlite(join(flotilla.directory, 'data/flotilla.db'));
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await database.close();
    await flotilla.dispose();
  });

  /** Follows events and takes nothing but the header of the answer. */
  const listen = async (query = ''): Promise<Socket> => {
    const { hostname, port } = new URL(flotilla.url);
    const socket = connect(Number(port), hostname);
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.write(`GET /v1/events${query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${flotilla.key}\r\n\r\n`);
    const head = await new Promise<Buffer>((resolve) => socket.once('data', resolve));
    expect(head.toString()).to.contain('200 OK');
    socket.pause();
    return socket;
  };
  /** Stores events behind the back of the orchestrator, which tells them with the next of its own. */
  const store = async (count: number, bytes: number) => {
    const time = new Date().toISOString();
    const row = { kind: 'image.failed', time, target_kind: 'image', target_id: 'img-x', target_name: null, request_id: null };
    const data = JSON.stringify({ code: 'x'.repeat(bytes) });
    for (let done = 0; done < count; done += 500)
      await database.db
        .insertInto('events')
        .values(Array.from({ length: Math.min(500, count - done) }, () => ({ ...row, data })))
        .execute();
  };
  const tell = (name: string) => flotilla.call('POST', '/v1/keys', { body: { name, role: 'viewer' } });
  const listeners = async () =>
    Number(/^flotilla_event_listeners (\d+)$/m.exec(String((await flotilla.call('GET', '/metrics', { key: null })).body))?.[1]);
  const residentBytes = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${flotilla.pid}/status`, 'utf8'))?.[1]) * 1024;
  /** Reads on until the other side closes or `until` is seen; answers the numbers of the events and how it ended. Rests `pause` milliseconds after each piece. */
  const readOn = async (socket: Socket, until?: string, pause = 0): Promise<{ ids: number[]; closed: boolean }> => {
    const ids: number[] = [];
    let rest = '';
    const closed = await new Promise<boolean>((resolve) => {
      socket.on('data', (bytes: Buffer) => {
        const lines = (rest + bytes.toString('latin1')).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          const id = /^data: \{"id":(\d+),/.exec(line)?.[1];
          if (id !== undefined) ids.push(Number(id));
          if (until !== undefined && line.includes(until)) resolve(false);
        }
        if (pause === 0) return;
        socket.pause();
        setTimeout(() => socket.resume(), pause);
      });
      if (socket.closed) resolve(true);
      socket.once('close', () => resolve(true));
      socket.resume();
    });
    return { ids, closed };
  };
  const expectAll = ({ ids, closed }: { ids: number[]; closed: boolean }, count: number) => {
    expect(closed).to.equal(false);
    expect(ids).to.have.length(count);
    expect(
      ids.every((id, index) => index === 0 || id === (ids[index - 1] ?? 0) + 1),
      'in order, without a gap',
    ).to.equal(true);
  };

  it('is not disconnected by a burst that it reads', async () => {
    const readers = await Promise.all(Array.from({ length: 3 }, () => listen()));
    const reading = readers.map((reader) => readOn(reader, '"name":"last"'));
    await store(BURST, 1500);
    await tell('last');
    for (const one of await Promise.all(reading)) expectAll(one, BURST + 1);
  });

  it('is waited for while it reads slowly, however far it is behind', async () => {
    await store(BURST, 1500);
    const started = Date.now();
    const reading = readOn(await listen('?after=0'), '"name":"last"', STALL_MILLISECONDS / 80);
    await tell('last');
    expectAll(await reading, BURST + 1);
    expect(Date.now() - started, 'it took longer than one that does not read may').to.be.above(STALL_MILLISECONDS);
  });

  it('that does not read is disconnected, costs little memory, and one that reads misses nothing', async () => {
    const slow: Socket[] = [];
    for (let i = 0; i < SLOW_LISTENERS; i += 1) slow.push(await listen());
    const reader = await listen();
    await tell('first');
    const reading = readOn(reader, '"name":"last"');
    const before = residentBytes();
    let most = before;
    const watch = setInterval(() => {
      most = Math.max(most, residentBytes());
    }, 20);
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        await store(BURST, 1500);
        await tell(`round-${round}`);
      }
      await flotilla.waitFor('the slow ones are disconnected', async () => (await listeners()) === 1);
      await tell('last');
      expectAll(await reading, ROUNDS * (BURST + 1) + 2);
    } finally {
      clearInterval(watch);
    }
    expect(most - before).to.be.below(MAX_GROWTH_BYTES);
    for (const socket of slow) {
      const { ids, closed } = await readOn(socket);
      expect(closed).to.equal(true);
      expect(ids.length).to.be.within(1, ROUNDS * BURST);
    }
  });

  it('that falls behind the window is disconnected, and told so when it comes back', async () => {
    await flotilla.stop();
    await flotilla.start({ FLOTILLA_EVENT_WINDOW: '100', FLOTILLA_HOUSEKEEPING_MS: '50', FLOTILLA_EVENT_STALL_MS: '60000' });
    const behind = await listen();
    await store(4 * BURST, 1500); // 30 MiB: more than the kernel takes for it
    await tell('then');
    await flotilla.waitFor('the oldest are gone', async () => (await flotilla.call('GET', '/v1/events?after=1')).status === 410);
    const { ids, closed } = await readOn(behind);
    expect(closed).to.equal(true);
    expect(ids).to.deep.equal(ids.map((_, index) => index + 1)); // what it got has no gap
    expect((await flotilla.call('GET', `/v1/events?after=${ids.length}`)).status).to.equal(410);
  });
});
