// SPDX-License-Identifier: Apache-2.0
import { isInstalled, run } from './lib.mjs';

describe('Rust', () => {
  it('is formatted (mend: cargo fmt)', () => {
    run('cargo', ['fmt', '--all', '--check']);
  });

  it('passes clippy without a warning', () => {
    run('cargo', ['clippy', '--workspace', '--all-targets', '--locked', '--quiet', '--', '-D', 'warnings']);
  });

  it('uses only allowed licences, sources and crates (cargo-deny)', function () {
    if (!isInstalled('cargo-deny')) this.skip();
    run('cargo-deny', ['--all-features', 'check', 'bans', 'licenses', 'sources']);
  });
});
