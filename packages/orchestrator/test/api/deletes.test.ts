// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { onEachDatabase } from '../support/databases.js';
import { type Body, machine, Orchestrator } from '../support/orchestrator.js';

onEachDatabase('a delete that fails', (makeDatabase) => {
  let flotilla: Orchestrator;
  let volume: string;

  beforeEach(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start({ FLOTILLA_RECONCILE_MS: '60000' });
    await flotilla.importImages();
    await flotilla.change('POST', '/v1/machines', machine('stuck'));
    const volumes = join(flotilla.directory, 'data/host/pools/default/volumes');
    volume = join(volumes, readdirSync(volumes)[0] ?? '');
    rmSync(volume);
    mkdirSync(join(volume, 'in-the-way'), { recursive: true }); // what cannot be removed as a file
  });

  afterEach(() => flotilla.dispose());

  it('says why, is tried again with growing waits, and succeeds once it can', async () => {
    const failed = await remove();
    expect(failed.body['state']).to.equal('failed');
    const first = await observed();
    expect(first).to.include({ state: 'deleting', deleteAttempts: 1 });
    expect(first['reason']).to.include.keys('code', 'detail', 'remedy');
    expect(first['reason']?.['detail']).to.contain('could not be deleted');
    const second = await flotilla.waitFor<Body>('the second attempt', async () => {
      const now = await observed();
      return now['deleteAttempts'] === 2 && now['nextDeleteAt'] !== undefined ? now : undefined;
    });
    expect(Date.parse(String(second['nextDeleteAt'])) - Date.parse(String(first['nextDeleteAt']))).to.be.above(1500);
    rmSync(volume, { recursive: true });
    await flotilla.waitFor('gone', async () => (await flotilla.call('GET', '/v1/machines/stuck')).status === 404);
    await flotilla.waitFor('nothing is left', async () => flotilla.leftovers().length === 0);
    const tried = (await flotilla.call('GET', `/v1/operations?target=${failed.body['target']?.['id']}`)).body['items'] ?? [];
    expect([...tried].filter((one) => one['kind'] === 'machine.delete').map((one) => [one['state'], one['requestedBy']])).to.deep.equal([
      ['failed', 'admin'],
      ['failed', 'system'],
      ['succeeded', 'system'],
    ]);
  });

  it('may be asked for again meanwhile; anything else is refused', async () => {
    await remove();
    for (const action of ['start', 'stop', 'kill', 'restart'])
      expect((await flotilla.call('POST', `/v1/machines/stuck/${action}`, { body: {} })).body['code'], action).to.equal(
        'machine.state_conflict',
      );
    rmSync(volume, { recursive: true });
    expect((await remove('')).body['state']).to.equal('succeeded');
    expect((await flotilla.call('GET', '/v1/machines/stuck')).status).to.equal(404);
  });

  it('is tried again after a restart of the orchestrator', async () => {
    await remove();
    await flotilla.killHard();
    rmSync(volume, { recursive: true });
    await flotilla.start({ FLOTILLA_RECONCILE_MS: '60000' });
    await flotilla.waitFor('gone', async () => (await flotilla.call('GET', '/v1/machines/stuck')).status === 404);
  });

  function remove(query = '?force=true') {
    return flotilla.call('DELETE', `/v1/machines/stuck${query}`, { headers: { prefer: 'wait=30' } });
  }

  async function observed(): Promise<Body> {
    return (await flotilla.call('GET', '/v1/machines/stuck')).body['observed'] as Body;
  }
});
