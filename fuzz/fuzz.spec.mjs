// SPDX-License-Identifier: Apache-2.0
// Every fuzz target builds with the compiler of everything else, and survives a moment of the same inputs each time. Finding what
// nobody thought of is for `npm run fuzz`, which has coverage and a sanitizer.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

import { writeInputs } from './inputs.mjs';
import { listTargets } from './targets.mjs';

const top = fileURLToPath(new URL('..', import.meta.url));
/** The workspace's own folder: the crates that both need are there already. */
const target = join(top, 'target');
const INPUTS = 2000;
const SEED = 4;

describe('A fuzz target', () => {
  let folder;
  let inputs;

  before(function () {
    this.timeout(900_000);
    const argv = ['build', '--locked', '--quiet', '--bins', '--manifest-path', 'fuzz/Cargo.toml', '--target-dir', target];
    const built = spawnSync('cargo', argv, { cwd: top, encoding: 'utf8' });
    expect(built.status, built.stderr).to.equal(0);
    folder = mkdtempSync(join(tmpdir(), 'flotilla-fuzz-'));
    inputs = writeInputs(folder, INPUTS, SEED);
  });
  after(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  for (const name of listTargets()) {
    it(`survives ${INPUTS} inputs: ${name}`, () => {
      // What a target finds it writes into the folder where it runs.
      const done = spawnSync(join(target, 'debug', name), ['-timeout=20', '-rss_limit_mb=1024', ...inputs], {
        cwd: folder,
        encoding: 'utf8',
      });
      expect(done.status, `${done.stderr}`.slice(-4000)).to.equal(0);
      expect(done.stderr.match(/^Executed /gm)).to.have.length(INPUTS);
      expect(readdirSync(folder)).to.have.length(INPUTS);
    });
  }
});
