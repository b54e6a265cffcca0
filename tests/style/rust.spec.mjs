// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';

import { run, top } from './lib.mjs';

/** Workspaces of their own: where, and what clippy is to look at. Nothing is linked, so libFuzzer need not be compiled for it. */
const besides = [
  { name: 'fuzz', targets: ['--bins'], env: { CUSTOM_LIBFUZZER_PATH: '/not-linked/libfuzzer.a' } },
  { name: 'lab/init', targets: ['--all-targets'] },
];
const manifest = (name) => ['--manifest-path', `${name}/Cargo.toml`];
/** Never inside of them: the lab hashes its sources. And the same for all: most of what they rest on is checked once. */
const targetFolder = process.env.CARGO_TARGET_DIR ?? join(top, 'target');

describe('Rust', () => {
  it('is formatted (mend: cargo fmt)', () => {
    run('cargo', ['fmt', '--all', '--check']);
    for (const { name } of besides) run('cargo', ['fmt', ...manifest(name), '--check']);
  });

  it('passes clippy without a warning', () => {
    run('cargo', ['clippy', '--workspace', '--all-targets', '--locked', '--quiet', '--', '-D', 'warnings']);
  });

  for (const { name, targets, env } of besides) {
    it(`passes clippy without a warning in ${name}`, () => {
      const where = [...manifest(name), '--target-dir', targetFolder];
      run('cargo', ['clippy', ...where, ...targets, '--locked', '--quiet', '--', '-D', 'warnings'], { env: { ...process.env, ...env } });
    });
  }
});
