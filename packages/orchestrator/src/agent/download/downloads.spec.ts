// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ApiError } from '../../common/api-error.js';
import { type DownloadOptions, Downloads } from './downloads.js';

const CONTENT = Buffer.from(Array.from({ length: 400_000 }, (_, index) => (index * 31) % 251));
const QUICK = { waitMilliseconds: { first: 1, most: 2 } };

describe('A download', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-download-'));
  const path = join(folder, 'file');
  let answer: RequestListener;
  let asked: IncomingMessage[];
  let server: Server;
  let url: string;

  beforeEach((done) => {
    asked = [];
    server = createServer((request, response) => {
      asked.push(request);
      answer(request, response);
    });
    server.listen(0, '127.0.0.1', () => {
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/disk.img`;
      done();
    });
  });
  afterEach((done) => {
    server.close(() => done());
    server.closeAllConnections();
  });
  after(() => rmSync(folder, { recursive: true }));

  interface Given extends DownloadOptions {
    hosts?: string[];
    inside?: boolean;
    url?: string;
    signal?: AbortSignal;
    require?: (bytes: number) => Promise<void>;
    onProgress?: (progress: { bytes: number; totalBytes?: number }) => void;
  }
  const fetch = ({ hosts = [], inside = true, signal, require = () => Promise.resolve(), onProgress, ...options }: Given = {}) =>
    new Downloads(hosts, { ...QUICK, ...options }).fetch({ url: options.url ?? url, inside }, path, {
      signal: signal ?? new AbortController().signal,
      require,
      ...(onProgress === undefined ? {} : { onProgress }),
    });
  const failure = async (given: Given = {}): Promise<ApiError> => {
    const error: unknown = await fetch(given).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(ApiError);
    expect(existsSync(path), 'nothing stays').to.equal(false);
    return error as ApiError;
  };
  const whole = () => expect(readFileSync(path).equals(CONTENT)).to.equal(true);
  /** Sends content from the offset that was asked for, and breaks the connection off after so many bytes. */
  const breaking = (response: ServerResponse, request: IncomingMessage, bytes: number, headers: Record<string, string>) => {
    const offset = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const part = CONTENT.subarray(offset, offset + bytes);
    const range = offset === 0 ? {} : { 'content-range': `bytes ${offset}-${CONTENT.length - 1}/${CONTENT.length}` };
    response.writeHead(offset === 0 ? 200 : 206, { 'content-length': CONTENT.length - offset, ...headers, ...range });
    response.write(part, () => (offset + part.length === CONTENT.length ? response.end() : response.destroy()));
  };

  it('brings the content, tells how far it is, and asks for room first', async () => {
    const told: unknown[] = [];
    const rooms: number[] = [];
    answer = (_, response) => void response.writeHead(200, { 'content-length': CONTENT.length }).end(CONTENT);
    await fetch({ onProgress: (progress) => told.push(progress), require: async (bytes) => void rooms.push(bytes) });
    whole();
    expect(told.at(-1)).to.deep.equal({ bytes: CONTENT.length, totalBytes: CONTENT.length });
    expect(rooms).to.deep.equal([CONTENT.length]);
    expect(asked[0]?.headers['accept-encoding']).to.equal('identity');
  });

  it('takes content of unknown length', async () => {
    answer = (_, response) => void response.writeHead(200).end(CONTENT);
    await fetch();
    whole();
  });

  it('goes on where a connection broke off, if it is the same content', async () => {
    answer = (request, response) => breaking(response, request, 150_000, { etag: '"one"' });
    await fetch();
    whole();
    expect(asked.map(({ headers }) => [headers.range !== undefined, headers['if-range']])).to.deep.equal([
      [false, undefined],
      ...asked.slice(1).map(() => [true, '"one"']),
    ]);
    expect(asked.length).to.be.within(2, 8);
  });

  it('begins anew when the content has changed meanwhile', async () => {
    answer = (request, response) =>
      asked.length === 1
        ? breaking(response, request, 150_000, { etag: '"one"' })
        : void response.writeHead(200, { etag: '"two"', 'content-length': 9 }).end('different');
    await fetch();
    expect(readFileSync(path, 'utf8')).to.equal('different');
  });

  it('begins anew when nothing tells whether it is the same content', async () => {
    answer = (request, response) => breaking(response, request, asked.length === 1 ? 150_000 : CONTENT.length, { etag: 'W/"weak"' });
    await fetch();
    whole();
    expect(asked.map(({ headers }) => headers.range)).to.deep.equal([undefined, undefined]);
  });

  it('is tried again while the server says that it will pass, and given up when it does not', async () => {
    answer = (_, response) => void (asked.length < 4 ? response.writeHead(503).end() : response.writeHead(200).end(CONTENT));
    await fetch();
    whole();
    rmSync(path);
    answer = (_, response) => void response.writeHead(503).end();
    expect(await failure()).to.include({ code: 'image.source_failed', field: 'source.url' });
    expect(asked.length).to.equal(4 + 5);
  });

  it('is given up at once for what will not pass', async () => {
    for (const [status, headers] of [
      [404, {}],
      [403, {}],
      [206, { 'content-range': 'bytes 5-9/10' }],
      [200, { 'content-encoding': 'gzip' }],
    ] as const) {
      asked = [];
      answer = (_, response) => void response.writeHead(status, headers).end('no');
      expect((await failure()).code, `${status}`).to.equal('image.source_failed');
      expect(asked.length).to.equal(1);
    }
    expect((await failure({ url: 'http://127.0.0.1:1/' })).code).to.equal('image.source_failed');
  });

  it('refuses another part than the one that was asked for', async () => {
    answer = (request, response) =>
      asked.length === 1
        ? breaking(response, request, 150_000, { etag: '"one"' })
        : void response.writeHead(206, { 'content-range': `bytes 0-9/10` }).end('0123456789');
    expect((await failure()).message).to.contain('another part');
  });

  it('ends a connection through which too little comes', async () => {
    answer = (_, response) => void response.writeHead(200).write('a');
    expect((await failure({ stallMilliseconds: 40 })).message).to.contain('bytes in');
    answer = () => undefined;
    expect((await failure({ stallMilliseconds: 40 })).message).to.contain('did not answer');
  });

  it('ends when there is no room, and when it is called off', async () => {
    answer = (_, response) => void response.writeHead(200, { 'content-length': CONTENT.length }).write(CONTENT.subarray(0, 100_000));
    const full = new ApiError('pool.full', { detail: 'Full.', remedy: 'None.' });
    expect(await failure({ require: () => Promise.reject(full) })).to.equal(full);
    const off = new ApiError('operation.cancelled', { detail: 'Off.', remedy: 'None.' });
    const stop = new AbortController();
    expect(await failure({ signal: stop.signal, onProgress: () => stop.abort(off) })).to.equal(off);
  });

  describe('that is redirected', () => {
    const to = (location: string) => {
      answer = (request, response) =>
        void (request.url === '/disk.img'
          ? response.writeHead(302, { location }).end()
          : response.writeHead(200, { 'content-length': CONTENT.length }).end(CONTENT));
    };

    it('follows', async () => {
      to('/mirror/disk.img?x=1');
      await fetch();
      whole();
    });

    it('follows to no place that it may not begin at', async () => {
      for (const [location, hosts] of [
        ['/disk.img', []],
        ['ftp://127.0.0.1/disk', []],
        ['http://user:word@127.0.0.1/disk', []],
        ['http://169.254.169.254/latest', []],
        ['http://[::ffff:169.254.169.254]/latest', []],
        ['http://0.0.0.0/disk', []],
        ['http://localhost/disk', ['127.0.0.1']],
        ['http://', []],
      ] as const) {
        to(location);
        expect((await failure({ hosts: [...hosts] })).code, location).to.equal('image.source_refused');
      }
    });
  });

  it('leads to this host for administrators and named hosts alone', async () => {
    answer = (_, response) => void response.writeHead(200).end(CONTENT);
    const { port } = server.address() as AddressInfo;
    for (const host of ['127.0.0.1', 'localhost', '[::ffff:7f00:1]', '2130706433'])
      expect((await failure({ inside: false, url: `http://${host}:${port}/` })).code, host).to.equal('image.source_refused');
    expect(asked).to.deep.equal([]);
    await fetch({ inside: false, hosts: ['127.0.0.1'] });
    whole();
    rmSync(path);
    expect((await failure({ hosts: ['example.org'] })).code).to.equal('image.source_refused');
  });

  it('looks at the certificate of a server, and never leaves HTTPS for HTTP', async () => {
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name)) as [string, string];
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-keyout', key, '-out', cert, ...names], {
      stdio: 'ignore',
    });
    const secure = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
      if (request.url === '/away') response.writeHead(302, { location: url }).end();
      else response.writeHead(200).end(CONTENT);
    });
    await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve));
    try {
      const at = `https://localhost:${(secure.address() as AddressInfo).port}`;
      expect((await failure({ url: at })).code).to.equal('image.source_failed');
      const ca = readFileSync(cert, 'utf8');
      await fetch({ url: at, ca });
      whole();
      rmSync(path);
      expect((await failure({ url: `${at}/away`, ca })).message).to.contain('HTTPS to HTTP');
    } finally {
      secure.closeAllConnections();
      await new Promise((resolve) => secure.close(resolve));
    }
  });
});
