// SPDX-License-Identifier: Apache-2.0
// How the server ends consoles. What they show and take is with the machines.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import WebSocket from 'ws';
import { machine, Orchestrator } from '../support/orchestrator.js';

/** A masked binary frame of 65535 bytes. */
const FRAME = Buffer.concat([Buffer.from([0x82, 0xfe, 0xff, 0xff, 0, 0, 0, 0]), Buffer.alloc(65_535, 1)]);

describe('a console', () => {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator().start({ FLOTILLA_CONSOLE_PING_MS: '200' });
    await flotilla.importImages();
    await flotilla.change('POST', '/v1/machines', machine('chatty'));
  });
  after(() => flotilla.dispose());

  const dial = (query: string, key = flotilla.key): WebSocket =>
    new WebSocket(`${flotilla.url.replace('http', 'ws')}/v1/machines/chatty/console?${query}`, {
      headers: { authorization: `Bearer ${key}` },
    });

  it('tells a key that may not type on it from one that is not valid', async () => {
    const body = { name: 'looker', role: 'viewer' };
    const viewer = String((await flotilla.call('POST', '/v1/keys', { body })).body['secret']);
    expect(await outcome(dial('write=true', viewer))).to.equal(4003);
    expect(await outcome(dial('write=true', 'flo_wrong'))).to.equal(4001);
    const reader = dial('', viewer);
    expect(await outcome(reader)).to.equal('open');
    reader.terminate();
  });

  it('is not locked by one key that reads it as often as it may', async () => {
    const body = { name: 'crowd', role: 'viewer' };
    const viewer = String((await flotilla.call('POST', '/v1/keys', { body })).body['secret']);
    const crowd = Array.from({ length: 40 }, () => dial('', viewer));
    const outcomes = await Promise.all(crowd.map(outcome));
    expect([outcomes.filter((one) => one === 'open').length, outcomes.filter((one) => one === 4029).length]).to.deep.equal([8, 32]);
    const others = [dial(''), dial('write=true')];
    expect(await Promise.all(others.map(outcome))).to.deep.equal(['open', 'open']);
    for (const client of [...crowd, ...others]) client.terminate();
    await flotilla.waitFor('a place', async () => {
      const next = dial('', viewer);
      const found = await outcome(next);
      next.terminate();
      return found === 'open';
    });
  });

  it('takes what is typed before it greets', async () => {
    const eager = dial('write=true');
    let shown = '';
    eager.on('message', (data, binary) => {
      if (binary) shown += (data as Buffer).toString();
    });
    eager.once('open', () => eager.send(Buffer.from('uname -a\r')));
    await flotilla.waitFor('the answer', async () => shown.includes('Linux fake'));
    eager.close();
    await once(eager, 'close');
  });

  it('keeps nothing of clients without a key, whatever they send, and waits for none of them', async () => {
    const before = memoryMiB(flotilla.pid);
    const clients = await Promise.all(Array.from({ length: 80 }, () => flood(flotilla.url)));
    await sleep(500);
    expect(memoryMiB(flotilla.pid) - before, 'MiB for 320 MiB sent').to.be.below(120);
    await Promise.all(clients.map((client) => client.ended));
    for (const client of clients) client.socket.destroy();
  });

  it('is free for another writer soon after one has vanished without a word', async () => {
    const vanished = dial('write=true');
    const reader = dial('');
    expect(await Promise.all([outcome(vanished), outcome(reader)])).to.deep.equal(['open', 'open']);
    vanished.pause(); // it answers nothing any more; its connection stays
    await flotilla.waitFor(
      'the write lane',
      async () => {
        const next = dial('write=true');
        const found = await outcome(next);
        if (found !== 'open') expect(found).to.equal(4009);
        else next.close();
        return found === 'open';
      },
      3_000,
    );
    await sleep(600);
    expect(reader.readyState, 'who answers stays').to.equal(WebSocket.OPEN);
    reader.close();
    await once(reader, 'close');
    vanished.terminate();
  });
});

describe('a console device, behind an agent that is another process', () => {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator(undefined, true).start();
    await flotilla.importImages();
    await flotilla.change('POST', '/v1/machines', machine('ported', { console: { ports: [{ name: 'agent.0' }] } }));
  });
  after(() => flotilla.dispose());

  const open = (port: string, more = 'write=true'): WebSocket =>
    new WebSocket(`${flotilla.url.replace('http', 'ws')}/v1/machines/ported/console?port=${port}&${more}`, {
      headers: { authorization: `Bearer ${flotilla.key}` },
    });

  it('has a terminal whose writer tells its size, whatever is typed beside that', async () => {
    const terminal = open('hvc0', 'write=true&offset=0');
    let shown = '';
    terminal.on('message', (data, binary) => {
      if (binary) shown += (data as Buffer).toString();
    });
    terminal.once('open', () => {
      terminal.send('{"columns":132,"rows":43}');
      terminal.send(Buffer.from('{"columns":1,"rows":1}'));
      terminal.send(Buffer.alloc(60_000, 'x'));
    });
    await flotilla.waitFor('size and input', async () => shown === `[43 132]{"columns":1,"rows":1}${'x'.repeat(60_000)}`);
    terminal.terminate();
  });

  it('has a writer for each port, and no other ports', async () => {
    await flotilla.waitFor('the place of who has left', async () => {
      const next = open('hvc0');
      const found = await outcome(next);
      next.close();
      if (found === 'open') await once(next, 'close');
      return found === 'open';
    });
    const first = ['hvc0', 'agent.0'].map((port) => open(port));
    expect(await Promise.all(first.map(outcome))).to.deep.equal(['open', 'open']);
    const clients = ['hvc0', 'agent.0'].map((port) => open(port));
    const outcomes = await Promise.all(clients.map(outcome));
    expect(outcomes).to.deep.equal([4009, 4009]);
    expect(await Promise.all(['agent', '..%2f', 'hvc1', ''].map((port) => outcome(open(port, ''))))).to.deep.equal([
      4005, 4005, 4005, 4005,
    ]);
    for (const client of [...first, ...clients]) client.terminate();
  });

  it('ends a writer whose text is no size', async () => {
    for (const bad of ['[]', '{"columns":65536,"rows":1}', 'ls\n']) {
      let client: WebSocket | undefined;
      await flotilla.waitFor('its place', async () => {
        client = open('agent.0');
        return (await outcome(client)) === 'open';
      });
      client?.send(bad);
      expect((await once(client as WebSocket, 'close'))[0], bad).to.equal(1007);
    }
  });
});

/** The close code, or 'open' once it greets. */
function outcome(client: WebSocket): Promise<number | 'open'> {
  return new Promise((resolve) => void client.once('message', () => resolve('open')).once('close', resolve));
}

/** Opens a console without a key, sends 4 MiB of frames, and never closes. */
async function flood(url: string): Promise<{ socket: Socket; ended: Promise<unknown> }> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  const ended = new Promise((resolve) => void socket.once('end', resolve).once('close', resolve));
  socket.on('error', () => socket.destroy());
  const key = 'AAAAAAAAAAAAAAAAAAAAAA==';
  socket.write(
    `GET /v1/machines/chatty/console HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  await once(socket, 'data');
  socket.resume();
  for (let i = 0; i < 64; i += 1) socket.write(FRAME);
  return { socket, ended };
}

function memoryMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}
