// SPDX-License-Identifier: Apache-2.0
// Every fuzz target builds with the compiler of everything else, and survives a moment of the same inputs each time. Finding what
// nobody thought of is for `npm run fuzz`, which has coverage and a sanitizer.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

import { writeInputs, writeSpoiled } from './inputs.mjs';
import { seedsOf, writeSeeds } from './seeds.mjs';
import { listTargets } from './targets.mjs';

const top = fileURLToPath(new URL('..', import.meta.url));
/** The workspace's own folder: the crates that both need are there already. */
const target = join(top, 'target');
const INPUTS = 2000;
const SEED = 4;

describe('A fuzz target', () => {
  let folder;

  before(function () {
    this.timeout(900_000);
    const argv = ['build', '--locked', '--quiet', '--bins', '--manifest-path', 'fuzz/Cargo.toml', '--target-dir', target];
    const built = spawnSync('cargo', argv, { cwd: top, encoding: 'utf8' });
    expect(built.status, built.stderr).to.equal(0);
  });
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flotilla-fuzz-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** What a target finds it writes into the folder where it runs. */
  function feed(name, inputs, env = {}) {
    const done = spawnSync(join(target, 'debug', name), ['-timeout=20', '-rss_limit_mb=1024', ...inputs], {
      cwd: folder,
      encoding: 'utf8',
      env: { ...process.env, ...env },
    });
    expect(done.status, `${done.stderr}`.slice(-4000)).to.equal(0);
    expect(done.stderr.match(/^Executed /gm)).to.have.length(inputs.length);
    expect(readdirSync(folder)).to.have.length(inputs.length);
  }

  for (const name of listTargets()) {
    it(`survives ${INPUTS} inputs: ${name}`, () => feed(name, writeInputs(folder, INPUTS, SEED)));

    if (seedsOf(name).length === 0) continue;
    it(`accepts what its fuzzer begins with: ${name}`, () => feed(name, writeSeeds(folder, name), { FLOTILLA_FUZZ_VALID: '1' }));
    it(`survives ${INPUTS} inputs that were valid: ${name}`, () => feed(name, writeSpoiled(folder, INPUTS, SEED, seedsOf(name))));
  }
});
