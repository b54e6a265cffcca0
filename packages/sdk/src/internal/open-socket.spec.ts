// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { ByteQueue } from './byte-queue.js';
import { openBrowserSocket, openSocket } from './open-socket.js';
import type { Socket } from './socket.js';
import { Transport } from './transport.js';

/** As much of a browser's WebSocket as is used. */
class FakeWebSocket {
  static last: FakeWebSocket;
  closedWith: number | undefined;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  constructor(readonly url: URL) {
    FakeWebSocket.last = this;
  }
  close(code: number): void {
    this.closedWith = code;
  }
}

describe('the WebSocket of a browser', () => {
  const real = globalThis.WebSocket;
  before(() => {
    globalThis.WebSocket = FakeWebSocket as unknown as typeof WebSocket;
  });
  after(() => {
    globalThis.WebSocket = real;
  });

  it('is closed when more than 1 MiB waits for the reader, who still gets what came', async () => {
    const queue = new ByteQueue();
    const closes: number[] = [];
    const opening: Promise<Socket> = openBrowserSocket(new Transport({ baseUrl: 'http://flotilla.test', apiKey: 'flo_k' }), '/c', {
      text: () => undefined,
      bytes: (bytes) => queue.push(bytes),
      close: (code) => {
        closes.push(code);
        queue.end(new Error('closed'));
      },
    });
    const browser = FakeWebSocket.last;
    expect(String(browser.url)).to.equal('ws://flotilla.test/c?access_token=flo_k');
    browser.onopen?.();
    queue.from(await opening);
    for (let count = 0; count < 64; count += 1) browser.onmessage?.({ data: new ArrayBuffer(64 * 1024) });
    expect([browser.closedWith, closes]).to.deep.equal([1000, [1013]]);
    let taken = 0;
    try {
      for (let bytes = await queue.take(); bytes !== undefined; bytes = await queue.take()) taken += bytes.length;
      expect.fail('it ended in order');
    } catch (error) {
      expect(String(error)).to.contain('closed');
    }
    expect(taken).to.equal(17 * 64 * 1024);
  });
});

describe('the WebSocket of Node', () => {
  it('gives up a handshake that nobody answers when the caller does', async () => {
    const server = createServer();
    server.on('upgrade', () => leaving.abort());
    const leaving = new AbortController();
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const transport = new Transport({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, apiKey: 'flo_k' });
    const events = { text: () => undefined, bytes: () => undefined, close: () => undefined };
    try {
      await openSocket(transport, '/c', events, leaving.signal);
      expect.fail('it opened');
    } catch (error) {
      expect(error).to.include({ code: 'connection.failed' });
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
