// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { onEachDatabase } from '../support/databases.js';
import { machine, Orchestrator } from '../support/orchestrator.js';

const MACHINES = 200;

onEachDatabase('scale', (makeDatabase) => {
  it(`creates and deletes ${MACHINES} machines at once and leaves nothing`, async function () {
    this.timeout(180_000);
    const flotilla = await new Orchestrator(await makeDatabase()).start();
    try {
      await flotilla.importImages();
      const names = Array.from({ length: MACHINES }, (_, index) => `many-${index}`);
      const created = await Promise.all(names.map((name) => flotilla.call('POST', '/v1/machines', { body: machine(name) })));
      expect(new Set(created.map((answer) => answer.status))).to.deep.equal(new Set([202]));
      const ends = await Promise.all(
        created.map((answer) => flotilla.call('GET', `/v1/operations/${answer.body['id']}`, { headers: { prefer: 'wait=60' } })),
      );
      expect(ends.flatMap((answer) => (answer.body['error'] === undefined ? [] : [String(answer.body['error']['detail'])]))).to.deep.equal(
        [],
      );
      expect(new Set(ends.map((answer) => answer.body['state']))).to.deep.equal(new Set(['succeeded']));
      expect(flotilla.workers()).to.have.length(MACHINES);
      const network = (await flotilla.call('GET', '/v1/networks/default')).body['leases'] ?? [];
      expect(new Set([...network].map((lease) => lease['ip']))).to.have.property('size', MACHINES);
      const deleted = await Promise.all(
        names.map((name) => flotilla.call('DELETE', `/v1/machines/${name}?force=true`, { headers: { prefer: 'wait=60' } })),
      );
      expect(
        deleted.flatMap((answer) => (answer.body['error'] === undefined ? [] : [String(answer.body['error']['detail'])])),
      ).to.deep.equal([]);
      expect(new Set(deleted.map((answer) => answer.body['state']))).to.deep.equal(new Set(['succeeded']));
      await flotilla.waitFor('nothing is left', async () => flotilla.leftovers().length === 0);
      expect((await flotilla.call('GET', '/v1/volumes')).body['items']).to.have.length(0);
    } catch (error) {
      console.error(flotilla.log);
      throw error;
    } finally {
      await flotilla.dispose();
    }
  });

  it('goes on while many guests do not hear the power button', async function () {
    this.timeout(120_000);
    const flotilla = await new Orchestrator(await makeDatabase()).start();
    try {
      await flotilla.importImages();
      const deaf = Array.from({ length: 20 }, (_, index) => `deaf-${index}`);
      await Promise.all(
        deaf.map((name) =>
          flotilla.change(
            'POST',
            '/v1/machines',
            machine(name, { boot: { kernel: 'k', commandLine: 'fake.deaf' }, disks: [], interfaces: [] }),
          ),
        ),
      );
      const stops = await Promise.all(
        deaf.map((name) => flotilla.call('POST', `/v1/machines/${name}/stop`, { body: { timeoutSeconds: 3600 } })),
      );
      await flotilla.waitFor(
        'all wait',
        async () =>
          [...((await flotilla.call('GET', '/v1/operations?state=running&limit=200')).body['items'] ?? [])].length === deaf.length,
      );
      await flotilla.change('POST', '/v1/machines', machine('another'));
      const first = await flotilla.call('GET', `/v1/operations/${stops[0]?.body['id']}`);
      expect(first.body['state'], 'still waits').to.equal('running');
      await flotilla.call('POST', `/v1/operations/${first.body['id']}/cancel`);
      expect((await flotilla.call('GET', `/v1/operations/${first.body['id']}`, { headers: { prefer: 'wait=20' } })).body['state']).to.equal(
        'cancelled',
      );
    } finally {
      await flotilla.dispose();
    }
  });
});
