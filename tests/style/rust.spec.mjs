// SPDX-License-Identifier: Apache-2.0
import { run } from './lib.mjs';

describe('Rust', () => {
  it('is formatted (mend: cargo fmt)', () => {
    run('cargo', ['fmt', '--all', '--check']);
    run('cargo', ['fmt', '--manifest-path', 'fuzz/Cargo.toml', '--check']);
  });

  it('passes clippy without a warning', () => {
    run('cargo', ['clippy', '--workspace', '--all-targets', '--locked', '--quiet', '--', '-D', 'warnings']);
  });
});
