// SPDX-License-Identifier: Apache-2.0
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { Cloud, end } from './cloud.js';
import { emptyDatabase } from './postgres.js';

describe('flotilla up', () => {
  const cloud = new Cloud();
  const [data, run] = ['other-data', 'other-run'].map((name) => join(cloud.folder, name)) as [string, string];
  const places = ['--data-dir', data, '--runtime-dir', run];
  const urlIn = (folder: string): string => (JSON.parse(readFileSync(join(folder, 'orchestrator.json'), 'utf8')) as { url: string }).url;
  after(() => cloud.stop());

  it('--listen, --data-dir and --runtime-dir go before the environment', async () => {
    const up = await cloud.up([...places, '--listen', '[::1]:0'], { FLOTILLA_LISTEN: '127.0.0.1:1' });
    try {
      expect(urlIn(data)).to.match(/^http:\/\/\[::1\]:\d+$/);
      expect([existsSync(join(run, 'fake')), existsSync(join(cloud.folder, 'data')), existsSync(join(cloud.folder, 'run'))]).to.deep.equal([
        true,
        false,
        false,
      ]);
      expect((await cloud.run(['machine', 'list'], { FLOTILLA_DATA_DIR: data })).status).to.equal(0);
    } finally {
      expect(await end(up, 'SIGINT')).to.equal(0);
    }
  });

  it('--role agent and --role api are two processes on one socket', async () => {
    const agent = await cloud.up([...places, '--role', 'agent']);
    try {
      expect(existsSync(join(run, 'agent.sock'))).to.equal(true);
      expect(existsSync(join(data, 'orchestrator.json'))).to.equal(false);
      const api = await cloud.up([...places, '--role', 'api']);
      expect((await cloud.run(['network', 'list'], { FLOTILLA_DATA_DIR: data })).stdout).to.contain('default');
      await end(api);
    } finally {
      await end(agent);
    }
  });

  it('--adopt-data takes over a data directory whose database is another one', async () => {
    const places = ['adopted-data', 'adopted-run'].map((name) => join(cloud.folder, name));
    const [ours = '', runtime = ''] = places;
    const options = ['--data-dir', ours, '--runtime-dir', runtime];
    await end(await cloud.up(options));
    rmSync(join(ours, 'flotilla.db'));
    const refused = await cloud.run(['up', ...options]);
    expect([refused.status, refused.stderr.includes('host.data_foreign'), refused.stderr.includes('--adopt-data')]).to.deep.equal([
      2,
      true,
      true,
    ]);
    await end(await cloud.up([...options, '--adopt-data']));
    await end(await cloud.up(options));
  });

  describe('stops in order', () => {
    /** `up` in a process group of its own, as in a terminal, with an operation that holds up the stop for 5 s. */
    const busy = async (): Promise<ChildProcess> => {
      const up = await cloud.up(['--import-root', cloud.folder, ...places], {}, true);
      const here = { FLOTILLA_DATA_DIR: data };
      await cloud.run(['image', 'import', 'kernel', cloud.kernel, '--kind', 'kernel', '--format', 'elf'], here);
      const boot = ['--kernel', 'kernel', '--memory', '64M', '--network', 'none', '--cmdline', 'fake.boot_ms=60000', '--no-wait'];
      const { status, stderr } = await cloud.run(['machine', 'create', `slow-${up.pid}`, ...boot], here);
      expect(status, stderr).to.equal(0);
      return up;
    };
    const toGroup = (up: ChildProcess, signal: NodeJS.Signals): void => void process.kill(-(up.pid ?? 0), signal);
    const announced = (): boolean => existsSync(join(data, 'orchestrator.json'));

    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      it(`when ${signal} comes to its whole process group, and so twice to the orchestrator`, async () => {
        const up = await busy();
        const ended = once(up, 'exit');
        toGroup(up, signal);
        expect(await ended).to.deep.equal([0, null]);
        expect(announced(), 'not closed to the end').to.equal(false);
      });
    }

    it('unless the signal comes again some seconds later', async () => {
      const up = await busy();
      const ended = once(up, 'exit');
      toGroup(up, 'SIGINT');
      await sleep(4_000); // after the 3 s in which it is the same one, before the 5 s that the stop takes
      toGroup(up, 'SIGINT');
      expect(await ended).to.deep.equal([130, null]);
      expect(announced(), 'closed to the end').to.equal(true);
    });
  });

  it('--role takes no other', async () => {
    const { status, stderr } = await cloud.flotilla('up', '--role', 'both');
    expect(status).to.equal(2);
    expect(stderr).to.contain('all, api, agent');
  });

  it('--database-url keeps everything in PostgreSQL, and the data directory has no database', async function () {
    const database = await emptyDatabase(this);
    const [folder, another] = ['with-postgres', 'second-directory'].map((name) => join(cloud.folder, name)) as [string, string];
    const up = (data: string): ReturnType<Cloud['up']> =>
      cloud.up(['--data-dir', data, '--runtime-dir', run, '--import-root', cloud.folder, '--database-url', database]);
    const started = [await up(folder)];
    try {
      const kernel = ['image', 'import', 'kernel', cloud.kernel, '--kind', 'kernel', '--format', 'elf'];
      expect((await cloud.run(kernel, { FLOTILLA_DATA_DIR: folder })).status).to.equal(0);
      const create = ['machine', 'create', 'stored', '--kernel', 'kernel', '--memory', '64M', '--network', 'none', '--no-start'];
      expect((await cloud.run(create, { FLOTILLA_DATA_DIR: folder })).status).to.equal(0);
      expect(existsSync(join(folder, 'flotilla.db'))).to.equal(false);
      for (const one of started) await end(one);
      // From another data directory: what it knows now is the database's, and so is the key.
      started.push(await up(another));
      const key = readFileSync(join(folder, 'admin.key'), 'utf8').trim();
      const listed = await cloud.run(['--url', urlIn(another), '--api-key', key, '-o', 'name', 'machine', 'list']);
      expect([listed.stdout, listed.status]).to.deep.equal(['stored\n', 0]);
    } finally {
      for (const one of started) await end(one);
    }
  });

  it('--database-url says what is wrong with one that cannot be used', async () => {
    const folder = join(cloud.folder, 'no-database');
    const refused = await cloud.flotilla('up', '--data-dir', folder, '--database-url', 'mysql://localhost/x');
    expect(refused.status).not.to.equal(0);
    expect(refused.stderr + refused.stdout).to.contain('postgres://');
    const unreachable = await cloud.flotilla(
      'up',
      '--data-dir',
      folder,
      '--runtime-dir',
      run,
      '--database-url',
      'postgres://127.0.0.1:9/x',
    );
    expect(unreachable.status).not.to.equal(0);
    expect(unreachable.stderr + unreachable.stdout).to.contain('ECONNREFUSED');
    expect(existsSync(join(folder, 'flotilla.db'))).to.equal(false);
  });
});
