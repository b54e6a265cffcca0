// SPDX-License-Identifier: Apache-2.0
// The composite action, run as a GitHub runner runs its steps, on this build and without hardware.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const action = fileURLToPath(new URL('../../.github/actions/setup-flotilla', import.meta.url));

describe('The action setup-flotilla', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-action-'));
  const dataDir = join(folder, 'data');
  const runnerFiles = Object.fromEntries(['GITHUB_ENV', 'GITHUB_OUTPUT', 'GITHUB_PATH'].map((name) => [name, join(folder, name)]));
  const env = {
    ...process.env,
    ...runnerFiles,
    RUNNER_TEMP: join(folder, 'temp'),
    FLOTILLA_VERSION: 'workspace',
    FLOTILLA_HYPERVISOR: 'fake',
    FLOTILLA_DATA_DIR: dataDir,
    FLOTILLA_RUNTIME_DIR: join(folder, 'run'),
    FLOTILLA_LISTEN: '127.0.0.1:0',
  };
  const step = (name) =>
    execFileSync(process.execPath, [join(action, name)], { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  const running = join(dataDir, 'orchestrator.json');

  before(() => {
    for (const file of Object.values(runnerFiles)) writeFileSync(file, '');
    mkdirSync(env.RUNNER_TEMP);
    // What an earlier job of this runner left must not be taken for our orchestrator.
    writeFileSync(join(env.RUNNER_TEMP, 'flotilla.log'), 'listening on http://127.0.0.1:9\n');
  });

  after(async () => {
    if (existsSync(running)) await end(JSON.parse(readFileSync(running, 'utf8')).pid);
    rmSync(folder, { recursive: true, force: true });
  });

  it('installs what machines need', function () {
    if (process.getuid?.() !== 0) this.skip();
    const mode = statSync('/dev/kvm', { throwIfNoEntry: false })?.mode;
    try {
      step('install.mjs');
      if (mode !== undefined) expect(statSync('/dev/kvm').mode & 0o777).to.equal(0o666);
    } finally {
      if (mode !== undefined) chmodSync('/dev/kvm', mode & 0o777); // this host is no runner that is thrown away
    }
    expect(readFileSync(runnerFiles.GITHUB_PATH, 'utf8')).to.equal('');
  });

  it('starts an orchestrator that outlives the step, masks its key and reports both to the steps that follow', async function () {
    if (process.getuid?.() !== 0) this.skip();
    const said = step('start.mjs');
    const outputs = assignments(runnerFiles.GITHUB_OUTPUT);
    const variables = assignments(runnerFiles.GITHUB_ENV);
    expect(outputs).to.have.all.keys('url', 'api-key');
    expect(variables).to.deep.equal({ FLOTILLA_URL: outputs.url, FLOTILLA_API_KEY: outputs['api-key'] });
    expect(said.split('\n')[0]).to.equal(`::add-mask::${outputs['api-key']}`);
    const list = async (key) => fetch(`${outputs.url}/v1/machines`, { headers: { authorization: `Bearer ${key}` } });
    expect((await list('flo_wrong_key')).status).to.equal(401);
    const answer = await list(outputs['api-key']);
    expect([answer.status, (await answer.json()).items]).to.deep.equal([200, []]);
  });
});

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
