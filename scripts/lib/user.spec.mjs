// SPDX-License-Identifier: Apache-2.0
// Setup by sudo in a clone of another user: a small clone with the real scripts in it, and user 65534 in the part of the caller.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { giveToUser, invokingUser } from './user.mjs';

const scripts = fileURLToPath(new URL('..', import.meta.url));
const caller = 65534;

/** Sets up as `npm run setup` does when everything must be built; then makes something in the cache, as root. */
const driver = `
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { cached } from './scripts/lib/cache.mjs';
import { runMain } from './scripts/lib/failure.mjs';
import { Steps } from './scripts/lib/steps.mjs';
import { carryOut } from './scripts/setup/index.mjs';
await runMain('setup', async () => {
  const steps = new Steps('setup');
  await cached('guest/thing', '0'.repeat(16), async (directory) => {
    mkdirSync(directory + '/deep');
    writeFileSync(directory + '/deep/file', String(process.geteuid()));
    symlinkSync('/etc/passwd', directory + '/link');
  });
  await carryOut({ host: { root: true }, missing: [], tools: [], go: false, dependencies: true, build: true }, steps);
});`;

describe('setup by sudo', function () {
  this.timeout(60_000);
  let folder;
  let clone;
  let home;

  beforeEach(function () {
    if (process.getuid?.() !== 0) {
      console.log('SKIPPED: only root can work for another user');
      this.skip();
    }
    folder = mkdtempSync(join(tmpdir(), 'flotilla-sudo-'));
    chmodSync(folder, 0o755);
    [clone, home] = [join(folder, 'clone'), join(folder, 'home')];
    mkdirSync(home);
    for (const name of ['lib', 'setup']) cpSync(join(scripts, name), join(clone, 'scripts', name), { recursive: true });
    for (const name of ['packages/a', 'crates/b']) mkdirSync(join(clone, name), { recursive: true });
    const manifest = {
      name: 'clone',
      version: '1.0.0',
      private: true,
      scripts: { build: 'mkdir -p packages/a/dist && id -u > packages/a/dist/user' },
    };
    writeFileSync(join(clone, 'package.json'), JSON.stringify(manifest));
    const lock = {
      name: 'clone',
      version: '1.0.0',
      lockfileVersion: 3,
      requires: true,
      packages: { '': { name: 'clone', version: '1.0.0' } },
    };
    writeFileSync(join(clone, 'package-lock.json'), JSON.stringify(lock));
    writeFileSync(join(clone, 'driver.mjs'), driver);
    execFileSync('chown', ['-R', `${caller}:${caller}`, folder]);
  });
  afterEach(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  it('leaves nothing of root’s in the clone, the cache and the home, and the user can build again', async () => {
    // npm, as root, has run the script and left this.
    mkdirSync(join(home, '.npm/_logs'), { recursive: true });
    writeFileSync(join(home, '.npm/_logs/debug.log'), '');
    const { status, said } = await setup({ npm_config_cache: join(home, '.npm') });
    assert.equal(status, 0, said);
    assert.equal(statSync('/etc/passwd').uid, 0);
    assert.deepEqual(roots(), []);
    assert.deepEqual(contentsOf('packages/a/dist/user'), `${caller}\n`);
    const identity = { uid: caller, gid: caller, cwd: clone, env: { PATH: process.env.PATH, HOME: home } };
    execFileSync('npm', ['run', 'build'], { ...identity, stdio: 'pipe' });
  });

  it('leaves nothing of root’s when the build fails either', async () => {
    writeFileSync(
      join(clone, 'package.json'),
      JSON.stringify({ name: 'clone', version: '1.0.0', scripts: { build: 'touch made; exit 3' } }),
    );
    const { status, said } = await setup();
    assert.equal(status, 1);
    assert.match(said, /npm ended with status 3/);
    assert.deepEqual(roots(), []);
  });

  it('works with the home of the user when sudo has put root’s in its place', async () => {
    const { status, said } = await setup({ HOME: '/root', FLOTILLA_CACHE: join(home, 'cache'), npm_config_cache: '/root/.npm' });
    // The home of user 65534 in /etc/passwd is none, and npm says so; it must not be root's.
    assert.ok(!said.includes('/root/.npm'), said);
    assert.ok([0, 1].includes(status));
    assert.deepEqual(roots(), []);
  });

  it('says at once how to mend what an earlier run as root has left', async () => {
    for (const name of ['target', 'node_modules']) mkdirSync(join(clone, name));
    const { status, said } = await setup();
    assert.equal(status, 1);
    assert.match(said, /an earlier run as root has made it\n.*sudo chown -hR 65534 (?=.*\/target\b).*\/node_modules\b/);
  });

  it('says the same of a cache that is root’s', async () => {
    mkdirSync(join(home, '.cache/flotilla/logs'), { recursive: true });
    const { status, said } = await setup();
    assert.equal(status, 1);
    assert.match(said, /sudo chown -hR 65534 .*\/home\/\.cache(\/flotilla)?\n/);
  });

  it('says how to make a cache in a folder where only root may', async () => {
    const cache = join(folder, 'rooted/cache');
    mkdirSync(dirname(cache));
    const { status, said } = await setup({ FLOTILLA_CACHE: cache });
    assert.equal(status, 1);
    assert.match(said, /sudo install -d -o 65534 -g 65534 \S+\/rooted\/cache\n/);
  });

  it('is root’s work where the clone is root’s, and where nobody called sudo', () => {
    assert.equal(invokingUser({ SUDO_UID: String(caller), SUDO_GID: String(caller) }), undefined);
    assert.equal(invokingUser({}), undefined);
  });

  it('gives away no file that has another name or lies behind a link', async () => {
    const [tree, outside] = [join(folder, 'tree'), join(folder, 'outside')];
    for (const path of [tree, outside]) mkdirSync(path);
    writeFileSync(join(outside, 'file'), '');
    linkSync(join(outside, 'file'), join(tree, 'second-name'));
    symlinkSync(outside, join(tree, 'link'));
    writeFileSync(join(tree, 'own'), '');
    writeFileSync(join(clone, 'give.mjs'), `import { giveToUser } from './scripts/lib/user.mjs'; giveToUser(${JSON.stringify(tree)});`);
    const { said } = await run('give.mjs');
    assert.equal(said, '');
    const owners = ['', 'own', 'link', 'second-name'].map((name) => lstatSync(join(tree, name)).uid);
    assert.deepEqual([...owners, statSync(outside).uid, statSync(join(outside, 'file')).uid], [caller, caller, caller, 0, 0, 0]);
    giveToUser(outside); // not by sudo: nothing happens
    assert.equal(statSync(outside).uid, 0);
  });

  function setup(env) {
    return run('driver.mjs', env);
  }

  /** Runs a script as sudo would: root, with the caller's number. */
  function run(script, env = {}) {
    const sudo = { PATH: process.env.PATH, HOME: home, SUDO_UID: String(caller), SUDO_GID: String(caller) };
    const options = { cwd: clone, env: { ...sudo, ...env } };
    return new Promise((resolve) => {
      execFile(process.execPath, [script], options, (error, stdout, stderr) =>
        resolve({ status: error?.code ?? 0, said: stdout + stderr }),
      );
    });
  }

  /** What belongs to root, beside the clone's own scripts that a test has put there. */
  function roots() {
    return readdirSync(folder, { recursive: true }).filter(
      (name) => lstatSync(join(folder, name)).uid === 0 && name !== 'clone/package.json',
    );
  }

  function contentsOf(name) {
    return execFileSync('cat', [join(clone, name)], { encoding: 'utf8' });
  }
});
