// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { onEachDatabase } from '../support/databases.js';
import { follow } from '../support/follow.js';
import { machine, Orchestrator } from '../support/orchestrator.js';

onEachDatabase('a guest that does not reset its watchdog', (makeDatabase) => {
  let flotilla: Orchestrator;

  before(async () => {
    // No periodic look helps.
    flotilla = await new Orchestrator(await makeDatabase()).start({ FLOTILLA_RECONCILE_MS: '3600000' });
    await flotilla.importImages();
  });

  after(() => flotilla.dispose());

  const observed = async (name: string) => (await flotilla.call('GET', `/v1/machines/${name}`)).body['observed'];

  for (const [action, state, code] of [
    ['reset', 'running', undefined],
    ['poweroff', 'failed', 'guest.watchdog'],
    ['pause', 'paused', undefined],
    ['report', 'running', undefined],
  ] as const) {
    it(`${action}: an event tells of it, and the machine is ${state}`, async () => {
      const boot = { kernel: 'k', commandLine: 'fake.watchdog_after=50' };
      await flotilla.change('POST', '/v1/machines', machine(action, { boot, watchdog: { action }, restartPolicy: { mode: 'never' } }));
      await flotilla.waitFor('the machine is as the action says', async () => (await observed(action))?.['state'] === state);
      const { id } = (await flotilla.call('GET', `/v1/machines/${action}`)).body;
      const [event] = await follow(flotilla, `/v1/events?after=0&kinds=machine.watchdog&target=${id}`, ({ length }) => length > 0);
      expect(event?.['data']).to.deep.equal({ action });
      expect(event?.['target']).to.deep.equal({ kind: 'machine', id, name: action });
      expect(Math.abs(Date.now() - Date.parse(String(event?.['time'])))).to.be.lessThan(60_000);
      expect((await observed(action))?.['reason']?.['code']).to.equal(code);
      expect((await flotilla.call('GET', `/v1/machines/${action}`)).body['spec']?.['watchdog']).to.deep.equal({ action });
      await flotilla.change('DELETE', `/v1/machines/${action}?force=true`);
    });
  }
});
