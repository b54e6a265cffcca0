// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { machine, Orchestrator } from '../support/orchestrator.js';

// What is made of it on a real host: nat-network.spec.ts.
describe('a network in use', () => {
  const flotilla = new Orchestrator();
  const seldom = { FLOTILLA_RECONCILE_MS: '3600000' };

  before(async () => {
    await flotilla.start(seldom);
    await flotilla.importImages();
    for (const name of ['stays', 'goes']) await flotilla.change('POST', '/v1/machines', machine(name));
  });
  after(() => flotilla.dispose());

  const note = () => {
    const directory = join(flotilla.directory, 'run/fake/networks');
    const [name = 'none'] = existsSync(directory) ? readdirSync(directory) : [];
    return join(directory, name);
  };
  const hostnames = () =>
    (JSON.parse(readFileSync(note(), 'utf8')) as { reservations: { hostname: string }[] }).reservations.map(({ hostname }) => hostname);

  it('no more has the name of a machine once that is gone', async () => {
    expect(hostnames()).to.have.members(['stays', 'goes']);
    await flotilla.change('DELETE', '/v1/machines/goes?force=true');
    await flotilla.waitFor('one name is left', async () => hostnames().join() === 'stays');
  });

  it('that the host has lost is made again at the next start, and then from time to time', async () => {
    await flotilla.stop();
    rmSync(note());
    await flotilla.start(seldom);
    await flotilla.waitFor('made at the start', async () => existsSync(note()));
    await flotilla.stop();
    await flotilla.start({ FLOTILLA_RECONCILE_MS: '200' });
    for (let round = 0; round < 2; round += 1) {
      await flotilla.waitFor('it is there', async () => existsSync(note()));
      rmSync(note());
      await flotilla.waitFor('made again', async () => existsSync(note()));
    }
    await flotilla.change('DELETE', '/v1/machines/stays?force=true');
    await flotilla.waitFor('nothing is left', async () => flotilla.leftovers().length === 0);
  });
});
