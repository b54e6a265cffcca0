// SPDX-License-Identifier: Apache-2.0
// The composite action and the workflow that calls it, their shell lines run as a runner runs them: on this build, without hardware, and
// like GitHub's runners by a user who is not root and has sudo.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

import { runOf } from '../runner/workflow-steps.mjs';

const top = fileURLToPath(new URL('../..', import.meta.url));
const actionFolder = '.github/actions/setup-flotilla';
const action = join(top, actionFolder, 'action.yml');
const workflow = (name) => join(top, '.github', 'workflows', `${name}.yml`);
/** Whom the runner's steps belong to. */
const nobody = { uid: 65534, gid: 65534 };

describe('The action setup-flotilla', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-action-'));
  const dataDir = join(folder, 'data');
  const temporary = join(folder, 'temp');
  const checkout = join(folder, 'checkout');
  const programs = join(folder, 'programs');
  const runnerFiles = Object.fromEntries(['GITHUB_ENV', 'GITHUB_OUTPUT', 'GITHUB_PATH'].map((name) => [name, join(folder, name)]));
  const baseEnv = {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'))),
    ...runnerFiles,
    HOME: temporary,
    RUNNER_TEMP: temporary,
    FLOTILLA_HYPERVISOR: 'fake',
    FLOTILLA_DATA_DIR: dataDir,
    FLOTILLA_RUNTIME_DIR: join(folder, 'run'),
    FLOTILLA_LISTEN: '127.0.0.1:0',
    EXPECTED: 'fake guest',
  };
  const running = join(dataDir, 'orchestrator.json');

  before(function () {
    if (process.getuid?.() !== 0) {
      console.log('SKIPPED: the action is tested as root, who can become another user');
      this.skip();
    }
    chmodSync(folder, 0o755);
    for (const path of [temporary, programs]) mkdirSync(path);
    for (const file of Object.values(runnerFiles)) writeFileSync(file, '');
    // The clone may be where others may not look.
    for (const path of [actionFolder, 'tests/package/action-project']) cpSync(join(top, path), join(checkout, path), { recursive: true });
    // What an earlier job of this runner left must not be taken for our orchestrator.
    writeFileSync(join(temporary, 'flotilla.log'), 'listening on http://127.0.0.1:9\n');
    giveSudo();
    giveToNobody();
  });

  after(async () => {
    if (existsSync(running)) await end(JSON.parse(readFileSync(running, 'utf8')).pid);
    rmSync(folder, { recursive: true, force: true });
  });

  describe('asks npm', () => {
    const asked = join(folder, 'asked.json');

    before(() => {
      const stub = `#!${process.execPath}\nrequire('fs').writeFileSync('${asked}', JSON.stringify(process.argv.slice(2)));\n`;
      writeFileSync(join(programs, 'npm'), stub, { mode: 0o755 });
    });

    after(() => {
      rmSync(join(programs, 'npm'));
      for (const file of Object.values(runnerFiles)) writeFileSync(file, '');
    });

    const packagesFor = (version) => {
      keepingKvm(() => shell(runOf(action, 'install'), { FLOTILLA_VERSION: version, PATH: `${programs}:${process.env.PATH}` }, top));
      const words = JSON.parse(readFileSync(asked, 'utf8'));
      return words.slice(words.indexOf(join(temporary, 'flotilla')) + 1);
    };

    it('for the packages of a version', () => {
      expect(packagesFor('1.2.3')).to.deep.equal(['@flotilla/cli@1.2.3', '@flotilla/sdk@1.2.3']);
    });

    it('for all tarballs of a folder, by a path that is no name of a repository, and refuses a folder without one', () => {
      const packed = join(folder, 'packed');
      mkdirSync(packed);
      expect(() => packagesFor(packed)).to.throw(/holds no tarball: fill it with npm run pack/);
      for (const name of ['a.tgz', 'b.tgz', 'other']) writeFileSync(join(packed, name), '');
      expect(packagesFor(packed)).to.deep.equal([join(packed, 'a.tgz'), join(packed, 'b.tgz')]);
    });
  });

  describe('with a build of this checkout', () => {
    it('installs what machines need, and puts the CLI on the PATH', () => {
      keepingKvm(() => shell(runOf(action, 'install'), { FLOTILLA_VERSION: 'workspace' }, top), 0o666);
      expect(shell('command -v flotilla', laterSteps()).trim()).to.equal(join(temporary, 'flotilla/node_modules/.bin/flotilla'));
      expect(assignments(runnerFiles.GITHUB_OUTPUT).sdk).to.equal(assignments(runnerFiles.GITHUB_ENV).FLOTILLA_SDK);
      giveToNobody();
    });

    it('starts an orchestrator as root by sudo, masks its key and reports both to the steps that follow', async () => {
      const said = shellOfNobody(runOf(action, 'start'));
      const { url, 'api-key': key } = assignments(runnerFiles.GITHUB_OUTPUT);
      const { FLOTILLA_URL, FLOTILLA_API_KEY } = assignments(runnerFiles.GITHUB_ENV);
      expect([FLOTILLA_URL, FLOTILLA_API_KEY]).to.deep.equal([url, key]);
      expect(said.split('\n')[0]).to.equal(`::add-mask::${key}`);
      const { uid, mode } = statSync(join(dataDir, 'admin.key'));
      expect([uid, mode & 0o777], 'the key that the step has read').to.deep.equal([0, 0o600]);
      const list = async (word) => fetch(`${url}/v1/machines`, { headers: { authorization: `Bearer ${word}` } });
      expect((await list('flo_wrong_key')).status).to.equal(401);
      expect((await list(key)).status).to.equal(200);
    });
  });

  describe('lets the workflow integration', () => {
    before(() => {
      const { HOME } = process.env; // cargo's
      shell(runOf(workflow('integration'), 'Make a kernel that prints a word'), { HOME }, top);
      giveToNobody();
    });

    it('ask the host what it can do', () => {
      // Its status says whether this host is fit; the program itself must run.
      const script = `${runOf(workflow('integration'), 'Ask the host what it can do')} || test $? = 1`;
      expect(shellOfNobody(script, laterSteps())).to.contain('Program dnsmasq: ');
    });

    for (const name of ['Run a machine through the CLI', 'Run a machine through the SDK, in a project of its own']) {
      it(name.toLowerCase(), () => {
        shellOfNobody(runOf(workflow('integration'), name), laterSteps());
      });
    }
  });

  /** Runs the lines of a step as the runner does: by bash, ended by the first failure. */
  function shell(script, env, cwd = checkout, user = {}) {
    const environment = { ...baseEnv, GITHUB_ACTION_PATH: join(cwd, actionFolder), ...env };
    const options = { cwd, env: environment, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...user };
    return execFileSync('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', script], options);
  }

  function shellOfNobody(script, env = { PATH: `${programs}:${process.env.PATH}` }) {
    return shell(script, env, checkout, nobody);
  }

  /** What the action's steps have left for those that follow. */
  function laterSteps() {
    const added = readFileSync(runnerFiles.GITHUB_PATH, 'utf8').split('\n').filter(Boolean);
    return { ...assignments(runnerFiles.GITHUB_ENV), PATH: [...added, programs, process.env.PATH].join(':') };
  }

  /** A `sudo` for this user alone: a copy of setpriv that is root's, behind a script that takes the options the action gives. */
  function giveSudo() {
    const setpriv = execFileSync('sh', ['-c', 'command -v setpriv'], { encoding: 'utf8' }).trim();
    const become = join(programs, 'become-root');
    copyFileSync(setpriv, become);
    chownSync(become, 0, nobody.gid);
    chmodSync(become, 0o4750);
    const script = `#!/bin/sh\nwhile case "$1" in --non-interactive | --preserve-env) ;; *) false ;; esac; do shift; done\nexec ${become} --reuid=0 --regid=0 --clear-groups "$@"\n`;
    writeFileSync(join(programs, 'sudo'), script, { mode: 0o755 });
  }

  function giveToNobody() {
    execFileSync('chown', ['-R', `${nobody.uid}:${nobody.gid}`, temporary, ...Object.values(runnerFiles)]);
  }
});

/** Runs what opens /dev/kvm to everybody and closes it again: this host is no runner that is thrown away. */
function keepingKvm(act, expected) {
  const mode = statSync('/dev/kvm', { throwIfNoEntry: false })?.mode;
  try {
    act();
    if (mode !== undefined && expected !== undefined) expect(statSync('/dev/kvm').mode & 0o777).to.equal(expected);
  } finally {
    if (mode !== undefined) chmodSync('/dev/kvm', mode & 0o777);
  }
}

/** The `name=value` lines of a file that a step reports through. */
function assignments(file) {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

/** Asks a process that is not our child to end, and waits until it has. */
async function end(id) {
  process.kill(id, 'SIGTERM');
  for (let attempt = 0; existsSync(`/proc/${id}`) && attempt < 100; attempt += 1) await new Promise((resolve) => setTimeout(resolve, 50));
  expect(existsSync(`/proc/${id}`), 'the orchestrator ends on SIGTERM').to.equal(false);
}
