// SPDX-License-Identifier: Apache-2.0
// publish.mjs with the real npm and a registry of our own.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tagFor } from './publish.mjs';

const program = fileURLToPath(new URL('publish.mjs', import.meta.url));
const names = ['native-linux-x64-gnu', 'native', 'sdk', 'orchestrator', 'cli'].map((part) => `@flotilla/${part}`);

describe('scripts/release/publish.mjs', function () {
  this.timeout(120_000);
  let folder;
  let registry;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'flotilla-publish-'));
    mkdirSync(join(folder, 'packed'));
    mkdirSync(join(folder, 'home'));
    registry = await startRegistry();
  });

  afterEach(async () => {
    await registry.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('publishes with the token, the parts before the whole, and passes over what is there when it is run again', async () => {
    for (const name of [...names].reverse()) makeTarball(name);
    registry.published.set('@flotilla/sdk', { version: '1.0.0', integrity: integrityOf('@flotilla/sdk') });
    registry.refused = '@flotilla/orchestrator';
    const stopped = await publish('--no-provenance');
    assert.equal(stopped.status, 1);
    assert.deepEqual(registry.puts, names.slice(0, 2).concat('@flotilla/orchestrator'));
    assert.match(stopped.said, /@flotilla\/sdk@1\.0\.0 is published already/);

    registry.refused = undefined;
    registry.puts.length = 0;
    assert.equal((await publish('--no-provenance')).status, 0);
    assert.deepEqual(registry.puts, names.slice(3));
    assert.deepEqual(new Set(registry.tokens), new Set(['Bearer secret']));
  });

  it('publishes a new version of a package that the registry knows', async () => {
    makeTarball('@flotilla/sdk');
    registry.published.set('@flotilla/sdk', { version: '0.9.0', integrity: 'sha512-old' });
    assert.equal((await publish('--no-provenance')).status, 0);
    assert.deepEqual(registry.puts, ['@flotilla/sdk']);
    assert.deepEqual(registry.tags, ['latest']);
  });

  it('publishes a prerelease as next, not as what everybody gets', async () => {
    makeTarball('@flotilla/sdk', { version: '1.0.0-rc.1' });
    const { status, said } = await publish('--no-provenance');
    assert.equal(status, 0, said);
    assert.deepEqual(registry.tags, ['next']);
    assert.deepEqual(['1.0.0', '1.0.0+build-7', '1.0.0-0', '1.0.0-rc.1+build'].map(tagFor), ['latest', 'latest', 'next', 'next']);
  });

  it('publishes nothing beside other bytes of the same version', async () => {
    for (const name of names) makeTarball(name);
    registry.published.set('@flotilla/sdk', { version: '1.0.0', integrity: 'sha512-other' });
    const { status, said } = await publish('--no-provenance');
    assert.equal(status, 1);
    assert.match(said, /The registry has another @flotilla\/sdk@1\.0\.0 than .*\n.*raise the version/);
    assert.deepEqual(registry.puts, []);
  });

  it('publishes what the tag of the workflow says, and nothing else', async () => {
    makeTarball('@flotilla/native');
    makeTarball('@flotilla/sdk', { version: '1.0.1' });
    for (const tag of ['v1.0.0', 'v1.0.1', 'v2.0.0', '1.0.1']) {
      const { status, said } = await publish('--no-provenance', { GITHUB_REF_TYPE: 'tag', GITHUB_REF_NAME: tag });
      assert.equal(status, 1, tag);
      assert.match(said, /The tag \S+ is not the version of @flotilla\/.*\n.*package\.json/);
    }
    assert.deepEqual(registry.puts, []);
    makeTarball('@flotilla/sdk');
    const { status, said } = await publish('--no-provenance', { GITHUB_REF_TYPE: 'tag', GITHUB_REF_NAME: 'v1.0.0' });
    assert.equal(status, 0, said);
    assert.deepEqual(registry.puts, ['@flotilla/native', '@flotilla/sdk']);
  });

  it('sends nothing with --dry-run', async () => {
    makeTarball('@flotilla/sdk');
    const { status, said } = await publish('--dry-run', '--no-provenance');
    assert.equal(status, 0, said);
    assert.match(said, /\+ @flotilla\/sdk@1\.0\.0/);
    assert.deepEqual(registry.puts, []);
  });

  it('asks for a statement of provenance, and first for what that needs', async () => {
    makeTarball('@flotilla/sdk');
    const bare = await publish();
    assert.match(bare.said, /No repository is named by @flotilla\/sdk\n.*GITHUB_REPOSITORY=/);
    makeTarball('@flotilla/sdk', { repository: { type: 'git', url: 'git+https://example.org/a/b.git' } });
    // npm makes one only where a workflow runs.
    const { status, said } = await publish();
    assert.equal(status, 1);
    assert.match(said, /provenance/i);
    assert.deepEqual(registry.puts, []);
  });

  it('does not take a registry that is out of order for one without the package', async () => {
    makeTarball('@flotilla/sdk');
    registry.broken = true;
    const { status, said } = await publish('--no-provenance');
    assert.equal(status, 1);
    assert.match(said, /The registry did not say whether it has @flotilla\/sdk@1\.0\.0/);
    assert.deepEqual(registry.puts, []);
  });

  it('says how to fill an empty folder', async () => {
    assert.match((await publish()).said, /holds no tarball\n.*npm run pack -- --output/);
  });

  function makeTarball(name, more = {}) {
    mkdirSync(join(folder, 'package'), { recursive: true });
    writeFileSync(join(folder, 'package', 'package.json'), JSON.stringify({ name, version: '1.0.0', ...more }));
    execFileSync('tar', ['-czf', pathOf(name), '-C', folder, 'package']);
  }

  function pathOf(name) {
    return join(folder, 'packed', `${name.replace('@', '').replace('/', '-')}-1.0.0.tgz`);
  }

  function integrityOf(name) {
    return `sha512-${createHash('sha512')
      .update(readFileSync(pathOf(name)))
      .digest('base64')}`;
  }

  /** In an environment that is no workflow's, but for what is given last, and knows this registry alone. */
  function publish(...given) {
    const options = given.filter((one) => typeof one === 'string');
    const workflow = given.find((one) => typeof one === 'object');
    const foreign = /^(npm_|GITHUB_|ACTIONS_|CI$)/i;
    const env = {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name))),
      HOME: join(folder, 'home'),
      NODE_AUTH_TOKEN: 'secret',
      npm_config_registry: registry.url,
      npm_config_fetch_retries: '0',
      npm_config_update_notifier: 'false',
      ...workflow,
    };
    return new Promise((resolve) => {
      execFile(process.execPath, [program, join(folder, 'packed'), ...options], { env, cwd: folder }, (error, stdout, stderr) => {
        resolve({ status: error?.code ?? 0, said: stdout + stderr });
      });
    });
  }
});

/** As much of a registry as npm needs for `view` and `publish`. */
async function startRegistry() {
  const state = { published: new Map(), puts: [], tags: [], tokens: [], refused: undefined, broken: false };
  const server = createServer((request, response) => {
    const name = decodeURIComponent(request.url.slice(1));
    const answer = (status, body) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const body = [];
    request
      .on('data', (bytes) => body.push(bytes))
      .on('end', () => {
        if (state.broken) return answer(503, {});
        if (request.method === 'PUT') {
          state.puts.push(name);
          state.tokens.push(request.headers.authorization);
          if (name === state.refused) return answer(403, { error: 'not now' });
          const sent = JSON.parse(Buffer.concat(body));
          const [[version, { dist }]] = Object.entries(sent.versions);
          state.tags.push(...Object.keys(sent['dist-tags']));
          state.published.set(name, { version, integrity: dist.integrity });
          return answer(201, { ok: true });
        }
        const found = state.published.get(name);
        if (found === undefined) return answer(404, { error: 'not found' });
        const { version, integrity } = found;
        const manifest = { name, version, dist: { tarball: `http://localhost/${name}.tgz`, shasum: '0', integrity } };
        return answer(200, { name, 'dist-tags': { latest: version }, versions: { [version]: manifest } });
      });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return Object.assign(state, {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () => new Promise((resolve) => server.close(resolve).closeAllConnections()),
  });
}
