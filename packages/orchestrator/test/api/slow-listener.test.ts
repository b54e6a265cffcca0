// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { Database } from '../../src/database/database.js';
import { Orchestrator } from '../support/orchestrator.js';

const MEBIBYTE = 1024 * 1024;
const SLOW_LISTENERS = 4;
/** Of 500 events each, three quarters of a mebibyte: what a listener that reads takes in one go. */
const ROUNDS = 80;
/** What the orchestrator may grow by while each listener leaves 60 MiB unread: the backlogs, and the garbage of making them. */
const MAX_GROWTH_BYTES = 100 * MEBIBYTE;

describe('a listener of events that does not read', function () {
  this.timeout(60_000);
  let flotilla: Orchestrator;
  let database: Database;
  const sockets: Socket[] = [];

  beforeEach(async () => {
    flotilla = await new Orchestrator().start({ FLOTILLA_EVENT_WINDOW: '1000000' });
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
  /** Reads on until the other side closes or `until` is seen; answers the numbers of the events and how it ended. */
  const readOn = async (socket: Socket, until?: string): Promise<{ ids: number[]; closed: boolean }> => {
    const ids: number[] = [];
    let rest = '';
    const closed = await new Promise<boolean>((resolve) => {
      socket.on('data', (bytes: Buffer) => {
        const lines = (rest + bytes.toString('latin1')).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          if (line.startsWith('id: ')) ids.push(Number(line.slice(4)));
          if (until !== undefined && line.includes(until)) resolve(false);
        }
      });
      socket.once('close', () => resolve(true));
      socket.resume();
    });
    return { ids, closed };
  };

  it('is disconnected, costs little memory, and one that reads misses nothing', async () => {
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
        await store(500, 1500);
        await tell(`round-${round}`);
      }
      await flotilla.waitFor('the slow ones are disconnected', async () => (await listeners()) === 1);
      await tell('last');
      const { ids, closed } = await reading;
      expect(closed).to.equal(false);
      expect(ids).to.have.length(ROUNDS * 501 + 2);
      expect(
        ids.every((id, index) => index === 0 || id === (ids[index - 1] ?? 0) + 1),
        'in order, without a gap',
      ).to.equal(true);
    } finally {
      clearInterval(watch);
    }
    expect(most - before).to.be.below(MAX_GROWTH_BYTES);
    for (const socket of slow) {
      const { ids, closed } = await readOn(socket);
      expect(closed).to.equal(true);
      expect(ids.length).to.be.within(1, ROUNDS * 501);
    }
  });

  it('of the past is waited for, and disconnected once too much happens meanwhile', async () => {
    await store(60_000, 600);
    await tell('then');
    const before = residentBytes();
    await listen('?after=0');
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await listeners(), 'a long replay is no backlog').to.equal(1);
    expect(residentBytes() - before).to.be.below(MAX_GROWTH_BYTES);
    await store(11_000, 10);
    await tell('now');
    await flotilla.waitFor('it is disconnected', async () => (await listeners()) === 0);
  });
});
