// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { type Body, Orchestrator } from '../support/orchestrator.js';

describe('what a viewer is shown', () => {
  let flotilla: Orchestrator;
  const secrets: Record<string, string> = {};

  before(async () => {
    flotilla = await new Orchestrator().start();
    await flotilla.importImages();
    for (const role of ['viewer', 'operator'])
      secrets[role] = String((await flotilla.call('POST', '/v1/keys', { body: { name: `the-${role}`, role } })).body['secret']);
    await flotilla.call('DELETE', '/v1/keys/the-other');
  });
  after(() => flotilla.dispose());

  /** Text of the event stream up to an event that comes last. */
  const follow = async (query: string, key: string, headers: Record<string, string> = {}): Promise<string> => {
    const stop = new AbortController();
    const response = await fetch(`${flotilla.url}/v1/events?${query}`, {
      headers: { authorization: `Bearer ${key}`, ...headers },
      signal: AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]),
    });
    expect(response.status).to.equal(200);
    let text = '';
    for await (const chunk of response.body ?? []) {
      if (text === '') {
        await flotilla.call('POST', '/v1/keys', { body: { name: `live-${++count}`, role: 'viewer' } }); // an event that comes live
        await flotilla.change('DELETE', `/v1/images/${await upload()}`); // and one for all
      }
      text += Buffer.from(chunk as Uint8Array).toString();
      if (text.includes('event: image.deleted')) break;
    }
    stop.abort();
    return text;
  };
  let count = 0;
  const upload = async (): Promise<string> => {
    const name = `up-${count}`;
    const { status } = await fetch(`${flotilla.url}/v1/images/${name}/content?kind=disk&format=raw`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${flotilla.key}`, 'content-type': 'application/octet-stream' },
      body: Buffer.alloc(512, 1),
    });
    expect(status).to.equal(201);
    return name;
  };

  for (const role of ['viewer', 'operator']) {
    it(`tells an ${role} nothing of keys in the events, neither replayed nor live`, async () => {
      const key = secrets[role] ?? '';
      for (const text of [await follow('after=0', key), await follow('kinds=key.*,image.*', key, { 'last-event-id': '0' })]) {
        expect(text).to.contain('event: image.created').and.contain('event: image.deleted');
        expect(text).not.to.contain('key.created');
        expect(text).not.to.contain('the-operator');
        expect(text).not.to.contain('live-');
      }
    });

    it(`shows an ${role} no paths of the host`, async () => {
      const key = secrets[role] ?? '';
      const list = (await flotilla.call('GET', '/v1/images', { key })).body['items'] as Iterable<Body>;
      for (const image of [...list, (await flotilla.call('GET', '/v1/images/k', { key })).body])
        expect([image['name'], JSON.stringify(image)].join()).not.to.contain(flotilla.directory);
      expect((await flotilla.call('GET', '/v1/images/k', { key })).body['source']).to.deep.equal({});
    });
  }

  it('shows both to administrators', async () => {
    expect(await follow('after=0', flotilla.key))
      .to.contain('event: key.created')
      .and.contain('the-operator');
    expect((await flotilla.call('GET', '/v1/images/k')).body['source']).to.deep.equal({ path: `${flotilla.directory}/kernel` });
  });
});
