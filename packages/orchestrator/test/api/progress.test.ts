// SPDX-License-Identifier: Apache-2.0
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Body, Orchestrator } from '../support/orchestrator.js';

/** Takes longer to copy than the time between two reports; as a hole it takes no space. */
const SIZE = 2 ** 30;

describe('the progress of an import', () => {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator().start();
  });
  after(() => flotilla.dispose());

  it('is told by events and by its operation, in bytes and percent that grow', async function () {
    this.timeout(120_000);
    const path = join(flotilla.directory, 'large');
    writeFileSync(path, 'content');
    truncateSync(path, SIZE);
    const { body: accepted } = await flotilla.call('POST', '/v1/images', {
      body: { name: 'large', kind: 'disk', format: 'raw', source: { path } },
    });
    const read = async () => (await flotilla.call('GET', `/v1/operations/${accepted['id']}`)).body;
    const asked: Body[] = [];
    const told: Body[] = [];
    for await (const event of events(String(accepted['id']))) {
      told.push(event);
      if (event['data']?.['progress'] !== undefined) asked.push(await read());
      if (event['data']?.['state'] === 'succeeded') break;
    }
    const progress = told.map((event) => event['data']?.['progress']).filter((one) => one !== undefined);
    expect(progress.length).to.be.above(0);
    for (const [index, one] of progress.entries()) {
      expect(one['totalBytes']).to.equal(SIZE);
      expect(one['bytes']).to.be.within(Number(progress[index - 1]?.['bytes'] ?? 1), SIZE);
      expect(one['percent']).to.equal(Math.floor((100 * Number(one['bytes'])) / SIZE));
    }
    const running = asked.filter((operation) => operation['state'] === 'running').map((operation) => operation['progress']);
    expect(running.length, 'seen while it ran').to.be.above(0);
    for (const one of running) expect(one?.['totalBytes']).to.equal(SIZE);
    expect(await read())
      .to.include({ state: 'succeeded' })
      .and.to.not.have.property('progress');
  });

  /** Events about an operation, from the first on. */
  async function* events(operation: string): AsyncGenerator<Body> {
    const response = await fetch(`${flotilla.url}/v1/events?after=0&kinds=operation.updated`, {
      headers: { authorization: `Bearer ${flotilla.key}` },
      signal: AbortSignal.timeout(100_000),
    });
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk as Uint8Array).toString();
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines.filter((one) => one.startsWith('data: '))) {
        const event = JSON.parse(line.slice(6)) as Body;
        if (event['target']?.['id'] === operation) yield event;
      }
    }
  }
});
