// SPDX-License-Identifier: Apache-2.0
import { chmodSync, chownSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Database } from '../../src/database/database.js';
import { onEachDatabase } from '../support/databases.js';
import { Orchestrator } from '../support/orchestrator.js';

onEachDatabase('the first key', (makeDatabase) => {
  let flotilla: Orchestrator;
  let url: string | undefined;
  let umask: number;

  before(async () => {
    umask = process.umask(0); // what is secret does not rest on the umask of whoever starts it
    url = await makeDatabase();
    flotilla = await new Orchestrator(url).start();
  });
  after(async () => {
    process.umask(umask);
    await flotilla.dispose();
  });

  const data = (name = '') => join(flotilla.directory, 'data', name);
  const mode = (path: string) => (statSync(path).mode & 0o7777).toString(8);

  it('lies where its owner alone can read it', () => {
    expect(mode(data())).to.equal('700');
    expect(mode(data('admin.key'))).to.equal('600');
    expect(mode(data('orchestrator.lock'))).to.equal('600');
    if (url === undefined) for (const ending of ['', '-wal', '-shm']) expect(mode(data(`flotilla.db${ending}`)), ending).to.equal('600');
    expect(readdirSync(data()).filter((name) => name.startsWith('admin.key'))).to.deep.equal(['admin.key']);
  });

  it('is an admin key, and is kept as a hash', async () => {
    const [, id, secret] = /^flo_([0-9a-z]{26})_([A-Za-z0-9_-]{43})$/.exec(flotilla.key) ?? [];
    expect(secret).to.be.a('string');
    expect((await flotilla.call('GET', '/v1/whoami')).body).to.include({ id: `key-${id}`, name: 'admin', role: 'admin' });
    const database = url === undefined ? Database.openSqlite(data('flotilla.db')) : await Database.openPostgres(url);
    try {
      const rows = await database.db.selectFrom('keys').selectAll().execute();
      expect(rows).to.have.length(1);
      expect(rows[0]).to.include({ id: `key-${id}`, name: 'admin', role: 'admin' });
      expect(rows[0]?.secret_hash).to.match(/^[0-9a-f]{64}$/);
      expect(JSON.stringify(rows)).not.to.contain(secret);
    } finally {
      await database.close();
    }
    const files = readdirSync(data(), { recursive: true, encoding: 'utf8' }).filter((name) => statSync(data(name)).isFile());
    const holding = files.filter((name) => readFileSync(data(name)).includes(secret ?? ''));
    expect(holding, 'files with the secret in them').to.deep.equal(['admin.key']);
    expect(flotilla.log).not.to.contain(secret);
  });

  it('stays the same when the orchestrator starts again, and is kept from others though they were let in meanwhile', async () => {
    const { key } = flotilla;
    await flotilla.stop();
    chmodSync(data(), 0o755);
    await flotilla.start();
    expect(mode(data())).to.equal('700');
    expect(flotilla.log).to.contain('was open to other users');
    expect(flotilla.key).to.equal(key);
    expect((await flotilla.call('GET', '/v1/keys')).body['items']).to.have.length(1);
  });

  it('is not written where somebody else may do anything', async function () {
    if (process.getuid?.() !== 0) {
      console.log('SKIPPED: giving away needs root');
      this.skip();
    }
    await flotilla.stop();
    chownSync(data(), 65_534, 65_534);
    try {
      const { status, errors } = await flotilla.expectExit();
      expect([status, errors]).to.satisfy(
        ([code, text]: [number, string]) => code === 2 && text.includes(`chown 0 ${data('').replace(/\/$/, '')}`),
      );
    } finally {
      chownSync(data(), 0, 0);
    }
  });
});
