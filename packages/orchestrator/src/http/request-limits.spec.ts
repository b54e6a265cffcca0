// SPDX-License-Identifier: Apache-2.0
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { allowLongUploads, requestLimits } from './request-limits.js';

describe('limits of requests', () => {
  let server: Server;
  const limit = requestLimits({ body: 300, idle: 300, rest: 100 });

  beforeEach(async () => {
    server = createServer((request, response) =>
      limit(request, response, () => {
        request.on('error', () => response.destroy());
        if (request.url === '/refused') response.writeHead(401).end();
        else if (request.url === '/slow') setTimeout(() => response.end('taken'), 1200);
        else request.on('end', () => response.end('taken')).resume();
      }),
    );
    allowLongUploads(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });

  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  /** Sends a byte every 50 ms for so long, then nothing, and ends at `endAfter`; answers how it went. */
  function send(method: string, path: string, bytesFor: number, endAfter: number, type = 'application/json'): Promise<string> {
    return new Promise((resolve) => {
      const { port } = server.address() as AddressInfo;
      const request = httpRequest({ port, method, path, headers: { 'transfer-encoding': 'chunked', 'content-type': type } });
      const bytes = setInterval(() => request.write('x'), 50);
      const timers = [setTimeout(() => clearInterval(bytes), bytesFor), setTimeout(() => request.end(), endAfter)];
      const done = (how: string) => {
        clearInterval(bytes);
        for (const timer of timers) clearTimeout(timer);
        resolve(how);
      };
      request.on('response', (response) => {
        if (response.statusCode === 200) done('taken');
      });
      request.on('error', () => done('ended')).on('close', () => done('ended'));
      request.write('x');
    });
  }

  it('let an upload take long that goes on, and end one that does not', async () => {
    expect(server.requestTimeout, 'no bound on the whole').to.equal(0);
    expect(server.headersTimeout, 'one on the headers').to.be.above(0);
    const upload = (bytesFor: number, endAfter: number) =>
      send('PUT', '/v1/images/big/content?kind=disk', bytesFor, endAfter, 'application/octet-stream');
    expect(await Promise.all([upload(1200, 1200), upload(100, 1500)])).to.deep.equal(['taken', 'ended']);
  });

  it('take nothing else for an upload, whose body is collected in memory', async () => {
    const others = [
      send('PUT', '/v1/images/big/content', 1200, 1200), // JSON
      send('PUT', '/v1/machines', 1200, 1200, 'application/octet-stream'),
      send('POST', '/v1/images/big/content', 1200, 1200, 'application/octet-stream'),
    ];
    expect(await Promise.all(others)).to.deep.equal(['ended', 'ended', 'ended']);
  });

  it('end a body of JSON that takes long, though it goes on', async () => {
    expect(await Promise.all([send('POST', '/', 1200, 1200), send('POST', '/', 50, 100)])).to.deep.equal(['ended', 'taken']);
  });

  it('wait with a request that has no body for as long as its answer takes', async () => {
    const { port } = server.address() as AddressInfo;
    const answers = ['GET', 'POST', 'DELETE', 'PUT'].map(async (method) =>
      (await fetch(`http://127.0.0.1:${port}/slow`, { method })).text(),
    );
    expect(await Promise.all(answers)).to.deep.equal(['taken', 'taken', 'taken', 'taken']);
  });

  it('end what is still sent after the answer', async () => {
    expect(await send('PUT', '/refused', 3_600_000, 3_600_000)).to.equal('ended');
  });
});
