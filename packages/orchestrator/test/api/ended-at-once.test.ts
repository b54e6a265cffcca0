// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { onEachDatabase } from '../support/databases.js';
import { machine, Orchestrator } from '../support/orchestrator.js';

onEachDatabase('a guest that ends before its boot is over', (makeDatabase) => {
  let flotilla: Orchestrator;

  before(async () => {
    // No periodic look helps.
    flotilla = await new Orchestrator(await makeDatabase()).start({ FLOTILLA_RECONCILE_MS: '3600000' });
    await flotilla.importImages();
  });

  after(() => flotilla.dispose());

  const create = (name: string, commandLine: string, mode: string) =>
    flotilla.change('POST', '/v1/machines', machine(name, { boot: { kernel: 'k', commandLine }, restartPolicy: { mode } }));
  const observed = async (name: string) => (await flotilla.call('GET', `/v1/machines/${name}`)).body['observed'];

  for (const [name, commandLine, state, code] of [
    ['panics', 'fake.panic_after=0', 'failed', 'guest.panic'],
    ['crashes', 'fake.crash_after=0', 'failed', 'worker.gone'],
    ['is-done', 'fake.poweroff_after=0', 'stopped', 'guest.powered_off'],
  ] as const) {
    it(`is ${state} by the end of the operation, never running: ${code}`, async () => {
      await create(name, commandLine, 'never');
      const found = await observed(name);
      expect([found?.['state'], found?.['reason']?.['code'], found?.['workerPid']]).to.deep.equal([state, code, undefined]);
      const log = await flotilla.call('GET', `/v1/machines/${name}/logs`);
      expect(String(log.body), 'its last words are kept').to.contain('Flotilla fake guest');
      await flotilla.waitFor('nothing of it is left on the host', () => Promise.resolve(flotilla.workers().length === 0));
      await flotilla.change('POST', `/v1/machines/${name}/start`);
      expect((await observed(name))?.['state']).to.equal(state);
    });
  }

  it('is started again as its policy says', async () => {
    await create('again', 'fake.panic_after=0', 'on-failure');
    await flotilla.waitFor('it was started again', async () => Number((await observed('again'))?.['restarts']) > 0);
    await flotilla.change('DELETE', '/v1/machines/again?force=true');
  });
});
