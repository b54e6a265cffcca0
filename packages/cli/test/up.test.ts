// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Cloud, end } from './cloud.js';

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

  it('--role takes no other', async () => {
    const { status, stderr } = await cloud.flotilla('up', '--role', 'both');
    expect(status).to.equal(2);
    expect(stderr).to.contain('all, api, agent');
  });

  it('--database-url is used instead of the embedded database', async () => {
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
