// SPDX-License-Identifier: Apache-2.0
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { expect } from 'chai';
import { onEachDatabase } from '../support/databases.js';
import { machine, Orchestrator } from '../support/orchestrator.js';

onEachDatabase('a data directory', (makeDatabase, database) => {
  let flotilla: Orchestrator;
  let urls: (string | undefined)[];

  beforeEach(async () => {
    urls = [await makeDatabase(), await makeDatabase()];
    flotilla = await new Orchestrator(urls[0]).start();
    await flotilla.importImages();
    await flotilla.change('POST', '/v1/machines', machine('old'));
  });

  afterEach(() => flotilla.dispose());

  const data = (name: string) => join(flotilla.directory, 'data', name);
  const volumes = () => readdirSync(data('host/pools/default/volumes'));
  const images = () => readdirSync(data('host/pools/default/images'));
  /** What a wrong `--database-url` or a lost database file comes to. */
  const anotherDatabase = (): Record<string, string> => {
    if (urls[1] !== undefined) return { FLOTILLA_DATABASE_URL: urls[1] };
    for (const name of readdirSync(data('.')).filter((one) => one.startsWith('flotilla.db'))) renameSync(data(name), data(`${name}.lost`));
    return {};
  };

  it('is refused to another database, and nothing in it is touched', async () => {
    const before = { volumes: volumes(), images: images(), workers: flotilla.workers(), key: flotilla.key };
    await flotilla.stop();
    const { status, errors } = await flotilla.expectExit(anotherDatabase());
    expect(status, errors).to.equal(2);
    expect(errors).to.match(/host\.data_foreign: .*belongs to installation ins-\w+; the database is that of installation ins-/);
    expect(errors).to.contain('--adopt-data').and.to.not.contain('    at ');
    expect({ volumes: volumes(), images: images(), workers: flotilla.workers(), key: flotilla.key }).to.deep.equal(before);
    if (database === 'PostgreSQL') {
      await flotilla.start();
      expect((await flotilla.call('GET', '/v1/machines/old')).status).to.equal(200);
    }
  });

  it('is taken over on purpose, and what is in it set aside', async () => {
    const [volume] = volumes();
    await flotilla.stop();
    const environment = anotherDatabase();
    await flotilla.start(environment, ['--adopt-data']);
    const aside = await flotilla.waitFor('it is set aside', () => Promise.resolve(flotilla.setAside().length === 3 && flotilla.setAside()));
    expect(aside.map((path) => basename(path))).to.include(volume);
    expect([volumes(), images(), flotilla.workers()]).to.deep.equal([[], [], []]);
    await flotilla.waitFor('it is logged', () =>
      Promise.resolve(flotilla.log.includes('set aside') && flotilla.log.includes(String(volume))),
    );
    await flotilla.stop();
    await flotilla.start(environment);
    expect((await flotilla.call('GET', '/v1/machines')).status).to.equal(200);
  });

  if (database === 'SQLite') {
    it('whose database is an older backup loses no volume that was made since', async () => {
      await flotilla.stop();
      copyFileSync(data('flotilla.db'), data('backup'));
      await flotilla.start();
      const known = volumes();
      await flotilla.change('POST', '/v1/machines', machine('since'));
      const made = volumes().find((name) => !known.includes(name)) ?? '';
      const content = readFileSync(data(`host/pools/default/volumes/${made}`));
      await flotilla.stop();
      for (const ending of ['', '-wal', '-shm']) rmSync(data(`flotilla.db${ending}`), { force: true });
      copyFileSync(data('backup'), data('flotilla.db'));
      await flotilla.start();
      const [aside = ''] = await flotilla.waitFor('it is set aside', () =>
        Promise.resolve(flotilla.setAside().length > 0 && flotilla.setAside()),
      );
      expect([basename(aside), readFileSync(aside).equals(content)]).to.deep.equal([made, true]);
      expect(volumes()).to.deep.equal(known);
      expect(existsSync(data('admin.key'))).to.equal(true);
    });
  }
});

onEachDatabase('a host agent of another installation', (makeDatabase) => {
  it('does not obey the api role, whichever of the two is started first', async () => {
    const owner = await new Orchestrator(await makeDatabase(), true).start();
    const stranger = new Orchestrator(await makeDatabase(), true);
    try {
      await owner.importImages();
      await stranger.start();
      await stranger.importImages();
      await stranger.change('POST', '/v1/machines', machine('elsewhere'));
      await stranger.stop();
      await stranger.stopAgent();
      const theirs = { FLOTILLA_AGENT_SOCKET: join(owner.directory, 'run/agent.sock') };
      const { status, errors } = await stranger.expectExit(theirs, undefined, ['--role', 'api']);
      expect([status, errors.includes('host.data_foreign')], errors).to.deep.equal([2, true]);
      await owner.stop();
      await owner.stopAgent();
      await stranger.startWithoutAgent(theirs);
      await owner.startAgent();
      // Some attempts later, what that host tells has long arrived too.
      await stranger.waitFor('it is refused', () => Promise.resolve(stranger.log.split('host.data_foreign').length > 4));
      const { body } = await stranger.call('GET', '/v1/machines/elsewhere');
      expect(body['observed']?.['state'], 'nobody has looked at its host').to.equal('unknown');
      expect((await stranger.call('GET', '/health/ready', { key: null })).status).to.equal(503);
      expect([readdirSync(join(owner.directory, 'data/host/pools/default/images')).length, owner.setAside()]).to.deep.equal([2, []]);
    } finally {
      await stranger.dispose();
      await owner.dispose();
    }
  });
});
