// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { Transport } from '../internal/transport.js';
import { Console } from './console.js';

const MEBIBYTE = 1024 * 1024;
const FRAMES = 1024;
const FRAME_BYTES = 64 * 1024;

/** Frame number `index` of a server: 64 KiB that begin with the number. */
function frame(index: number): Buffer {
  const bytes = Buffer.alloc(10 + FRAME_BYTES);
  bytes.set([0x82, 127]);
  bytes.writeBigUInt64BE(BigInt(FRAME_BYTES), 2);
  bytes.writeUInt32BE(index, 10);
  return bytes;
}

/** Greets, then sends 64 MiB as fast as they are taken. */
async function flood(socket: Socket): Promise<void> {
  const greeting = Buffer.from('{"offset":0}');
  socket.on('error', () => socket.destroy());
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  socket.write(Buffer.concat([Buffer.from([0x81, greeting.length]), greeting]));
  for (let index = 0; index < FRAMES && socket.writable; index += 1) if (!socket.write(frame(index))) await once(socket, 'drain');
}

describe('Console', () => {
  let server: Server;
  let peer: Socket;
  let console: Console;

  beforeEach(async () => {
    server = createServer().on('upgrade', (_request, socket) => {
      peer = socket as Socket;
      flood(peer).catch(() => undefined);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    console = await Console.open(new Transport({ baseUrl: `http://127.0.0.1:${port}` }), '/', {});
  });
  afterEach(() => {
    console.close();
    peer.destroy();
    server.close();
  });

  /** What the server could send, once that grows no more: at least 300 ms. */
  async function sent(): Promise<number> {
    for (let before = -1; ; ) {
      const now = peer.bytesWritten - peer.writableLength;
      if (now === before) return now;
      before = now;
      await sleep(300);
    }
  }

  it('takes no more of a flood than 1 MiB ahead of its reader, and loses nothing', async () => {
    // The buffers of the kernel hold some MiB more.
    expect(await sent()).to.be.below(32 * MEBIBYTE);
    let expected = 0;
    let length = 0;
    for await (const bytes of console) {
      expect(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)).to.equal(expected++);
      length += bytes.length;
      if (expected === FRAMES) break;
    }
    expect([length, console.offset]).to.deep.equal([FRAMES * FRAME_BYTES, FRAMES * FRAME_BYTES]);
  });

  it('searches no flood for longer than asked, nor more of it than 8 MiB, and keeps all of it to be read', async () => {
    for (const [timeoutMs, limit] of [
      [100, '100 ms'],
      [20_000, '8 MiB'],
    ] as const) {
      const began = Date.now();
      const failure = await console.expect('never shown', { timeoutMs }).catch((error: unknown) => String(error));
      expect(failure).to.contain(`within ${limit}`);
      expect(Date.now() - began).to.be.below(timeoutMs + 20_000);
      expect(console.offset).to.equal(0);
    }
    for await (const bytes of console) {
      expect(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)).to.equal(0);
      break;
    }
  });

  it('can be left while its output waits', async () => {
    await sent();
    const closed = once(peer, 'close');
    peer.once('data', () => peer.end());
    console.close();
    await closed;
  });
});
