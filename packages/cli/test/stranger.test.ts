// SPDX-License-Identifier: Apache-2.0
// Another user of the host listens where the orchestrator did: the administrator's key is not for them.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { expect } from 'chai';
import { trustedFetch } from '../src/local/trusted-fetch.js';
import { Cloud, end, type Outcome } from './cloud.js';

/** Prints its port, then the Authorization of each request. */
const listener = `require('node:http').createServer((request, response) => {
  console.log(request.headers.authorization);
  response.writeHead(200, { 'content-type': 'application/json' }).end('{"items":[]}');
}).listen(Number(process.argv[1]), process.argv[2], function () { console.log(this.address().port); })`;
const key = 'flo_00000000000000000000000000_secret';
const nobody = 65_534;
const other = 65_533;

describe('The key in the data directory, when somebody else listens at the address', () => {
  const cloud = new Cloud();
  const data = join(cloud.folder, 'data');
  let stranger: ChildProcess;
  let url: string;
  let heard = '';

  before(async function () {
    if (process.getuid?.() !== 0) {
      console.log('SKIPPED: another user is needed, whom only root can become');
      this.skip();
    }
    stranger = await listenAs(nobody, '127.0.0.1');
    mkdirSync(data, { mode: 0o700 });
    writeFileSync(join(data, 'admin.key'), `${key}\n`, { mode: 0o600 });
    // As an orchestrator leaves it that was killed.
    writeFileSync(join(data, 'orchestrator.json'), JSON.stringify({ pid: 1, url }));
  });
  beforeEach(() => {
    heard = '';
  });
  after(async () => {
    if (stranger !== undefined) await end(stranger);
    await cloud.stop();
  });

  const listenAs = async (uid: number, host: string): Promise<ChildProcess> => {
    const child = spawn(process.execPath, ['-e', listener, '0', host], { uid, gid: uid, cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] });
    const [first] = (await once(child.stdout, 'data')) as [Buffer];
    url = `http://127.0.0.1:${String(first).trim()}`;
    child.stdout.on('data', (text: Buffer) => {
      heard += String(text);
    });
    return child;
  };
  const expectRefusal = ({ status, stderr }: Outcome): void => {
    expect(stderr)
      .to.contain('connection.untrusted')
      .and.to.contain(`user ${nobody}`)
      .and.to.match(/Next: .*--api-key/);
    expect([status, heard]).to.deep.equal([3, '']);
  };

  it('is not sent to the address of the record', async () => expectRefusal(await cloud.flotilla('machine', 'list')));

  it('is not sent to an address that was given, by no spelling of it', async () => {
    for (const host of ['127.0.0.1', 'localhost', '127.1'])
      expectRefusal(await cloud.flotilla('--url', url.replace('127.0.0.1', host), 'machine', 'list'));
  });

  it('is not sent by a command that uploads or watches', async () => {
    expectRefusal(await cloud.flotilla('image', 'import', 'k', cloud.kernel, '--upload', '--kind', 'kernel', '--format', 'elf'));
    expectRefusal(await cloud.flotilla('operation', 'watch', 'op-1'));
    expectRefusal(await cloud.flotilla('event', 'watch'));
  });

  it('is not sent to who has not accepted the connection yet, which some kernels show as root’s', async () => {
    stranger.kill('SIGSTOP');
    try {
      expectRefusal(await cloud.flotilla('machine', 'list'));
    } finally {
      stranger.kill('SIGCONT');
    }
  });

  it('nor is a key of the environment, when nobody said where to', async () => {
    expectRefusal(await cloud.run(['machine', 'list'], { FLOTILLA_API_KEY: 'flo_mine' }));
  });

  it('is not sent to who listens at every address', async () => {
    const before = url;
    const everywhere = await listenAs(nobody, '::');
    try {
      expectRefusal(await cloud.flotilla('--url', url, 'machine', 'list'));
    } finally {
      url = before;
      await end(everywhere);
    }
  });

  it('is no longer looked after when both the address and a key are given', async () => {
    expect((await cloud.flotilla('--url', url, '--api-key', 'flo_mine', 'machine', 'list')).status).to.equal(0);
    expect((await cloud.run(['machine', 'list'], { FLOTILLA_URL: url, FLOTILLA_API_KEY: 'flo_mine' })).status).to.equal(0);
    expect(heard).to.equal('Bearer flo_mine\n'.repeat(2));
  });

  it('is sent to the user who owns the file, since they can read it', async () => {
    chownSync(join(data, 'admin.key'), nobody, nobody);
    expect((await cloud.flotilla('machine', 'list')).status).to.equal(0);
    expect(heard).to.equal(`Bearer ${key}\n`);
    chownSync(join(data, 'admin.key'), other, other);
    heard = '';
    expectRefusal(await cloud.flotilla('machine', 'list'));
  });

  it('is not sent by a console either, which is opened by the agent of the process', async () => {
    const before = http.globalAgent;
    try {
      trustedFetch(undefined);
      const error = await new Promise((resolve) => http.get(url, { headers: { authorization: key } }, resolve).on('error', resolve));
      expect(error).to.include({ code: 'connection.untrusted' });
    } finally {
      http.globalAgent = before;
    }
    expect(heard).to.equal('');
  });

  it('leaves no trace of the key where it was refused', async () => {
    const { stdout, stderr } = await cloud.flotilla('machine', 'list');
    expect(stdout + stderr).not.to.contain(readFileSync(join(data, 'admin.key'), 'utf8').trim());
  });
});
