// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { WebSocket, WebSocketServer } from 'ws';
import { watchHeartbeat } from './heartbeat.js';

describe('the heartbeat of a console', () => {
  let server: WebSocketServer;
  let client: WebSocket;
  let served: WebSocket;

  beforeEach(async () => {
    server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    [[served]] = (await Promise.all([once(server, 'connection'), once(client, 'open')])) as [[WebSocket], unknown];
    watchHeartbeat(served, 100);
  });
  afterEach(() => {
    client.terminate();
    server.close();
  });

  it('ends a client that does not answer', async () => {
    const began = Date.now();
    client.pause(); // as one that has vanished: the kernel still takes what is sent
    expect(await once(served, 'close')).to.include(1006);
    expect(Date.now() - began).to.be.at.least(90);
  });

  it('lets one be that answers, and one whose input is not read now', async () => {
    await sleep(500);
    served.pause();
    await sleep(500);
    served.resume();
    await sleep(500);
    expect(served.readyState).to.equal(WebSocket.OPEN);
  });
});
