// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { requireRoot, rootCommand } from './privilege.mjs';

describe('quickstart without root', () => {
  it('asks for one command, with the same words, before anything else', () => {
    assert.throws(() => requireRoot({ root: false }, ['--keep'], {}), {
      remedy: 'sudo env "PATH=$PATH" "HOME=$HOME" npm run quickstart -- --keep',
    });
    requireRoot({ root: true }, [], {});
  });

  it('keeps where Rust and the cache are, if they are elsewhere', () => {
    assert.equal(
      rootCommand([], { CARGO_HOME: '/c', RUSTUP_HOME: '' }),
      'sudo env "PATH=$PATH" "HOME=$HOME" "CARGO_HOME=$CARGO_HOME" npm run quickstart',
    );
  });

  it('finds the caller’s programs although sudo replaces the PATH', () => {
    // A sudo with secure_path, and an npm that says what it was given.
    const script = `sudo() { PATH=/usr/bin:/bin "$@"; }; ${rootCommand([], {}).replace('npm run quickstart', 'printenv PATH HOME')}`;
    const env = { PATH: '/opt/node with space/bin:/usr/bin:/bin', HOME: '/home/anne' };
    assert.equal(execFileSync('/bin/bash', ['-c', script], { env, encoding: 'utf8' }), `${env.PATH}\n${env.HOME}\n`);
  });
});
