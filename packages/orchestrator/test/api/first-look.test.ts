// SPDX-License-Identifier: Apache-2.0
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { onEachDatabase } from '../support/databases.js';
import { type Body, machine, Orchestrator } from '../support/orchestrator.js';

onEachDatabase('what a machine is said to be right after a start', (makeDatabase) => {
  let flotilla: Orchestrator;

  afterEach(() => flotilla.dispose());

  const start = async (split = false) => {
    flotilla = await new Orchestrator(await makeDatabase(), split).start();
    await flotilla.importImages();
  };
  const observed = async (name: string) => (await flotilla.call('GET', `/v1/machines/${name}`)).body['observed'] as Body;
  /** Every message from `after` to that of a key made for its end. */
  const messages = async (after: number) => {
    const end = String((await flotilla.call('POST', '/v1/keys', { body: { name: `end-${Date.now()}`, role: 'viewer' } })).body['id']);
    const stream = await fetch(`${flotilla.url}/v1/events?after=${after}`, { headers: { authorization: `Bearer ${flotilla.key}` } });
    let text = '';
    for await (const chunk of stream.body ?? []) {
      text += Buffer.from(chunk as Uint8Array).toString();
      const told = text.split('\n\n').slice(0, -1);
      if (told.some((message) => message.includes(end))) return told;
    }
    throw new Error('the stream ended');
  };
  const statesTold = async (after: number) =>
    (await messages(after))
      .map((message) => /^event: machine.state\ndata: (.*)$/m.exec(message)?.[1])
      .filter((data) => data !== undefined)
      .map((data) => JSON.parse(data) as Body)
      .map((event) => `${event['data']?.['previous']} > ${event['data']?.['state']}`);
  const lastEvent = async () => Number(/^id: (\d+)$/m.exec((await messages(0)).at(-1) ?? '')?.[1]);

  it('of the host is never "running" when nothing runs any more', async () => {
    await start();
    await flotilla.change('POST', '/v1/machines', machine('rests', { restartPolicy: { mode: 'never' } }));
    await flotilla.killHard();
    rmSync(join(flotilla.directory, 'run'), { recursive: true });
    await flotilla.start();
    expect((await observed('rests'))['state']).to.equal('failed');
  });

  it('of the orchestrator is what it was, and no event says otherwise', async () => {
    await start();
    await flotilla.change('POST', '/v1/machines', machine('goes-on'));
    const last = await lastEvent();
    await flotilla.killHard();
    await flotilla.start();
    expect((await observed('goes-on'))['state']).to.equal('running');
    expect(await statesTold(last)).to.deep.equal([]);
  });

  it('is "unknown" while there is no agent to ask; an event tells when it was seen', async () => {
    await start(true);
    await flotilla.change('POST', '/v1/machines', machine('far'));
    const before = await observed('far');
    const last = await lastEvent();
    await flotilla.stop();
    await flotilla.stopAgent();
    await flotilla.startWithoutAgent();
    const unknown = await observed('far');
    expect(unknown).to.include({ state: 'unknown', restarts: 0 }).and.to.not.have.property('workerPid');
    expect(unknown['reason']).to.include({ code: 'machine.not_seen' });
    expect(
      [...((await flotilla.call('GET', '/v1/machines')).body['items'] ?? [])].map((item) => item['observed']?.['state']),
    ).to.deep.equal(['unknown']);
    const metrics = String((await flotilla.call('GET', '/metrics', { key: null })).body);
    expect(metrics).to.contain('flotilla_machines{state="unknown"} 1').and.to.contain('flotilla_machines{state="running"} 0');
    const refused = await flotilla.call('POST', '/v1/machines/far/pause');
    expect([refused.status, refused.body['code']]).to.deep.equal([409, 'machine.state_conflict']);
    expect(refused.body['detail']).to.contain('is unknown');
    await flotilla.startAgent();
    await flotilla.waitFor('it was seen', async () => (await observed('far'))['state'] === 'running');
    expect(await observed('far')).to.deep.equal(before);
    expect(await statesTold(last)).to.deep.equal(['unknown > running']);
  });
});
