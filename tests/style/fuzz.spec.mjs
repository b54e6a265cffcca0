// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';

import { ourFiles, read, run } from './lib.mjs';
import { listTargets } from '../../fuzz/targets.mjs';

describe('Fuzz targets', () => {
  it('are the files of fuzz/fuzz_targets, by name', () => {
    const files = ourFiles((path) => path.startsWith('fuzz/fuzz_targets/'));
    expect(listTargets().map((name) => `fuzz/fuzz_targets/${name.replaceAll('-', '_')}.rs`)).to.deep.equal(files.sort());
  });

  it('are the rows of fuzz/README.md', () => {
    const rows = [...read('fuzz/README.md').matchAll(/^\| ([\w-]+) \| /gm)].map(([, name]) => name);
    expect(rows.filter((name) => name !== 'target')).to.deep.equal(listTargets());
  });

  it('reach every function that the crates offer to fuzzers', () => {
    const offered = ourFiles((path) => /^crates\/[^/]+\/src\/.*\.rs$/.test(path)).flatMap((path) =>
      [...read(path).matchAll(/pub fn (fuzz_\w+)/g)].map(([, name]) => name),
    );
    const called = ourFiles((path) => path.startsWith('fuzz/fuzz_targets/'))
      .map(read)
      .join('');
    expect(offered.filter((name) => !called.includes(name))).to.deep.equal([]);
  });

  it('have a lock file that fits the crates (mend: cargo update --workspace --manifest-path fuzz/Cargo.toml)', () => {
    run('cargo', ['metadata', '--locked', '--format-version', '1', '--manifest-path', 'fuzz/Cargo.toml']);
  });
});
