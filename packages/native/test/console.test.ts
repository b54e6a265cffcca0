// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';

import { type ConsoleConnection, openConsole } from '../src/index.js';
import { scratch } from './support/host.js';
import { rejects } from './support/rejects.js';

/** Everything of `console`, and the code of the error that it ends with. */
async function allOf(console: ConsoleConnection): Promise<[string, string | undefined]> {
  let text = '';
  try {
    for await (const chunk of console.data) text += Buffer.from(chunk).toString('latin1');
  } catch (error) {
    return [text, (error as { code?: string }).code];
  }
  return [text, undefined];
}

/** A turn of the event loop reads what the kernel holds for the sockets of this process; an answer to that takes another. */
async function turns(count: number): Promise<void> {
  for (let done = 0; done < count; done += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Sends to the client, and waits until it has read it. */
async function send(client: Socket | undefined, text: string): Promise<void> {
  await new Promise<void>((sent) => client?.write(text, () => sent()));
  await turns(10);
}

describe('A console connection', () => {
  let place: ReturnType<typeof scratch>;
  let path: string;
  let server: Server;
  let clients: Socket[];
  /** What the console answers: 0 lets in. */
  let status: number;

  beforeEach(async () => {
    place = scratch();
    path = join(place.path, 'console.sock');
    clients = [];
    status = 0;
    server = createServer({ allowHalfOpen: true }, (client) => {
      client.on('error', () => {});
      client.once('data', () => {
        const answer = Buffer.alloc(16);
        answer.writeUInt32LE(status, 0);
        answer.writeUInt32LE(1 << 20, 4);
        client.write(answer);
        clients.push(client);
      });
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
  });
  afterEach(() => {
    for (const client of clients) client.destroy();
    server.close();
    place.remove();
  });

  it('keeps the last output for a writer that types on after the end', async () => {
    const console = await openConsole({ path, offset: 0, write: true });
    clients[0]?.end('hello\n', () => clients[0]?.destroy());
    if (clients[0]) await once(clients[0], 'close');
    await turns(10);
    await rejects(console.write('x'), 'worker.gone');
    expect(await allOf(console)).to.deep.equal(['hello\n', undefined]);
  });

  it('gives what came before it was cut off, and then the error', async () => {
    const console = await openConsole({ path, offset: 0, write: true });
    // What was sent and never read makes the kernel reset the connection.
    clients[0]?.pause();
    await send(clients[0], 'hel');
    await console.write('x');
    clients[0]?.destroy();
    expect(await allOf(console)).to.deep.equal(['hel', 'worker.gone']);
  });

  it('is refused with a code that says why', async () => {
    for (const [refusal, code] of [
      [1, 'console.busy'],
      [3, 'console.full'],
      [9, 'worker.protocol'],
    ] as const) {
      status = refusal;
      await rejects(openConsole({ path }), code);
    }
  });

  it('reads no more ahead than a little', async () => {
    const console = await openConsole({ path, offset: 0 });
    const sent = Buffer.alloc(8 << 20, 'x');
    clients[0]?.write(sent);
    // As long as the client reads, each turn takes something away.
    for (let still = 0, left = 0; still < 100; ) {
      await turns(1);
      const now = clients[0]?.writableLength ?? 0;
      still = now === left ? still + 1 : 0;
      left = now;
    }
    expect(clients[0]?.bytesWritten).to.equal(sent.length + 16);
    expect(clients[0]?.writableLength).to.be.greaterThan(sent.length / 2);
    clients[0]?.end();
    const [text] = await allOf(console);
    expect(text.length).to.equal(sent.length);
  });

  it('gives nothing more once it is closed', async () => {
    const console = await openConsole({ path, offset: 0 });
    await send(clients[0], 'hello\n');
    console.close();
    expect(await allOf(console)).to.deep.equal(['', undefined]);
  });
});
