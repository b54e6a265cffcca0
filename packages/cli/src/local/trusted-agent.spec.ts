// SPDX-License-Identifier: Apache-2.0
import { type AddressInfo, createServer, type Server } from 'node:net';
import { createServer as createHttpServer } from 'node:http';
import { ConnectionError } from '@flotilla/sdk';
import { expect } from 'chai';
import { fetchThrough } from './fetch.js';
import type { SocketTables } from './sockets.js';
import { TrustedAgent } from './trusted-agent.js';

const listen = async (server: Server): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
};
const get = async (port: number, tables?: () => SocketTables): Promise<unknown> =>
  fetchThrough(new TrustedAgent([], tables))(`http://127.0.0.1:${port}/`, { headers: { authorization: 'Bearer flo_key' } }).then(
    (answer) => answer.status,
    (error: unknown) => error,
  );

describe('Whom a key is sent to', () => {
  it('is a process of our own', async () => {
    const server = createHttpServer((request, response) =>
      response.writeHead(request.headers.authorization === 'Bearer flo_key' ? 200 : 401).end(),
    );
    expect(await get(await listen(server))).to.equal(200);
    server.close();
  });

  for (const [who, change] of [
    ['another user’s', (text: string) => text.replace(/^(\s*\d+:(?:\s+\S+){6}\s+)\d+/gm, '$1 65534')],
    ['unknown to the host', () => ''],
  ] as const) {
    it(`is none that is ${who}: it gets no byte`, async () => {
      let heard = 0;
      const server = createServer((socket) => socket.on('data', (bytes) => (heard += bytes.length)).on('error', () => undefined));
      const port = await listen(server);
      const { readFileSync } = await import('node:fs');
      const error = await get(port, () => [change(readFileSync('/proc/net/tcp', 'latin1')), '']);
      expect(error).to.be.instanceOf(ConnectionError).and.to.include({ code: 'connection.untrusted' });
      expect((error as ConnectionError).remedy).to.contain('--api-key');
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(heard).to.equal(0);
      server.close();
    });
  }

  it('says as always that nobody is there', async () => {
    const server = createServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    expect(await get(port)).to.include({ code: 'ECONNREFUSED' });
  });
});
