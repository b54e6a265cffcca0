// SPDX-License-Identifier: Apache-2.0
import { totalmem } from 'node:os';
import { expect } from 'chai';
import { onEachDatabaseOverTcp } from '../support/databases.js';
import { machine, Orchestrator } from '../support/orchestrator.js';

/** More than half of what the host has: one such machine fits, two do not. */
const memoryMiB = 2 * Math.ceil((0.6 * totalmem()) / 2 ** 21);

onEachDatabaseOverTcp('the memory of all machines', (makeDatabase) => {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start({ FLOTILLA_MEMORY_OVERCOMMIT: 'refuse' });
    await flotilla.importImages();
  });

  after(() => flotilla.dispose());

  it('is at most that of the host, unless its owner allows more', async () => {
    await flotilla.change('POST', '/v1/machines', machine('first', { memoryMiB }));
    const refused = await flotilla.call('POST', '/v1/machines', { body: machine('second', { memoryMiB }) });
    expect([refused.status, refused.body['code'], refused.body['field']]).to.deep.equal([409, 'host.memory_overcommitted', 'memoryMiB']);
    expect((await flotilla.call('GET', '/v1/machines/second')).status).to.equal(404);

    // One that is not to run takes none, until it is.
    await flotilla.change('POST', '/v1/machines', machine('second', { memoryMiB, start: false }));
    const start = () => flotilla.call('POST', '/v1/machines/second/start', { body: {} });
    expect((await start()).body['code']).to.equal('host.memory_overcommitted');
    await flotilla.change('POST', '/v1/machines/first/stop', { timeoutSeconds: 5 });
    await flotilla.change('POST', '/v1/machines/second/start', {});
    expect((await flotilla.call('POST', '/v1/machines/first/start', { body: {} })).body['code']).to.equal('host.memory_overcommitted');

    // A guest that has ended, and that no policy starts again, has none.
    await flotilla.change('POST', '/v1/machines/second/stop', { timeoutSeconds: 5 });
    const short = { memoryMiB, boot: { kernel: 'k', commandLine: 'fake.poweroff_after=50' }, restartPolicy: { mode: 'never' } };
    await flotilla.change('POST', '/v1/machines', machine('short', short));
    await flotilla.waitFor('its end', async () => {
      const { body } = await flotilla.call('GET', '/v1/machines/short');
      return body['observed']?.['state'] === 'stopped' && body['desired']?.['state'] === 'running';
    });
    await flotilla.change('POST', '/v1/machines/second/start', {});

    // One that a policy is about to start again keeps its own.
    await flotilla.change('POST', '/v1/machines/second/stop', { timeoutSeconds: 5 });
    const again = {
      memoryMiB,
      boot: { kernel: 'k', commandLine: 'fake.panic_after=50' },
      restartPolicy: { mode: 'always', backoffSeconds: 300 },
    };
    await flotilla.change('POST', '/v1/machines', machine('again', again));
    await flotilla.waitFor('its end', async () => {
      const { body } = await flotilla.call('GET', '/v1/machines/again');
      return body['observed']?.['nextRestartAt'] !== undefined;
    });
    expect((await flotilla.call('POST', '/v1/machines/second/start', { body: {} })).body['code']).to.equal('host.memory_overcommitted');
    for (const name of ['short', 'again']) await flotilla.change('DELETE', `/v1/machines/${name}?force=true`);
    await flotilla.change('POST', '/v1/machines/second/start', {});

    await flotilla.stop();
    await flotilla.start({ FLOTILLA_MEMORY_OVERCOMMIT: 'allow' });
    await flotilla.change('POST', '/v1/machines/first/start', {});
    await flotilla.change('POST', '/v1/machines', machine('third', { memoryMiB: 2 * memoryMiB }));
    for (const name of ['first', 'second', 'third']) await flotilla.change('DELETE', `/v1/machines/${name}?force=true`);
  });
});
