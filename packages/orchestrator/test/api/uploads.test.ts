// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { Orchestrator } from '../support/orchestrator.js';

for (const split of [false, true]) {
  describe(`an upload that goes on and on, ${split ? 'two processes' : 'one process'}`, () => {
    let flotilla: Orchestrator;
    const sockets: Socket[] = [];

    before(async () => {
      flotilla = await new Orchestrator(undefined, split).start();
    });
    after(async () => {
      for (const socket of sockets) socket.destroy();
      await flotilla.dispose();
    });

    /** Sends a little of an image, and then some more as long as somebody takes it. */
    const drip = async (name: string, key: string) => {
      const { hostname, port } = new URL(flotilla.url);
      const socket = connect(Number(port), hostname);
      sockets.push(socket);
      let answer = '';
      socket
        .on('error', () => undefined)
        .on('data', (text: Buffer) => {
          answer += text.toString();
        });
      const timer = setInterval(() => socket.write(Buffer.alloc(1000, 5)), 20);
      const ended = once(socket, 'close').then(() => clearInterval(timer));
      socket.write(
        `PUT /v1/images/${name}/content?kind=disk&format=raw HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n` +
          'Content-Type: application/octet-stream\r\nContent-Length: 100000000\r\n\r\n',
      );
      await flotilla.waitFor('the file of the upload', async () => staged().length > 0);
      return { ended, answer: () => answer };
    };
    const staged = (): string[] => {
      const directory = join(flotilla.directory, 'data/host/pools/default/images');
      return existsSync(directory) ? readdirSync(directory) : [];
    };
    const nothingLeft = async (name: string) => {
      await flotilla.waitFor('no file is left', async () => staged().length === 0);
      await flotilla.waitFor('the name is free', async () => (await flotilla.call('GET', `/v1/images/${name}`)).status === 404);
    };

    it('ends with the key that began it', async () => {
      const made = await flotilla.call('POST', '/v1/keys', { body: { name: 'brief', role: 'operator' } });
      const { ended, answer } = await drip('outlives', String(made.body['secret']));
      expect((await flotilla.call('DELETE', '/v1/keys/brief')).status).to.equal(204);
      await flotilla.waitFor('its connection is ended', () => Promise.race([ended.then(() => true), later()]));
      expect(answer()).to.match(/^(HTTP\/1\.1 401 .*auth\.invalid.*)?$/s);
      await nothingLeft('outlives');
    });

    it('ends when somebody deletes its image', async () => {
      const { ended, answer } = await drip('unwanted', flotilla.key);
      const deleted = await flotilla.change('DELETE', '/v1/images/unwanted');
      expect(deleted['kind']).to.equal('image.delete');
      await flotilla.waitFor('its connection is ended', () => Promise.race([ended.then(() => true), later()]));
      expect(answer()).to.match(/^(HTTP\/1\.1 409 .*operation\.cancelled.*)?$/s);
      await nothingLeft('unwanted');
    });

    it('hurts no other upload', async () => {
      const put = await fetch(`${flotilla.url}/v1/images/fine/content?kind=disk&format=raw`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${flotilla.key}`, 'content-type': 'application/octet-stream' },
        body: Buffer.alloc(3_000_000, 5),
      });
      expect(put.status).to.equal(201);
    });
  });
}

function later(): Promise<false> {
  return new Promise((resolve) => setTimeout(resolve, 50, false));
}
