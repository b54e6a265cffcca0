// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';

import { read, run, top } from './lib.mjs';
import { generators } from '../../scripts/generate/generators.mjs';
import { isBuilt } from '../../scripts/setup/workspace.mjs';

describe('Generated files', () => {
  // On a clean clone the set-up has written them anew before anyone looks here.
  if (process.env.REQUIRE_KVM === '1') {
    it('are committed as they are generated (mend: npm run gen)', () => {
      const files = generators.flatMap((generator) => generator.files());
      expect(run('git', ['status', '--porcelain', '--', ...files])).to.equal('');
    });
  }

  for (const { name, files, argv, env, byBuild } of generators) {
    it(`are up to date: ${name} (mend: npm run gen)`, () => {
      if (byBuild && isBuilt()) return;
      const before = files().map((path) => [path, read(path)]);
      const [program, ...args] = argv;
      run(program, args, { cwd: top, env: { ...process.env, ...env } });
      const changed = before.filter(([path, text]) => read(path) !== text).map(([path]) => path);
      expect(changed).to.deep.equal([]);
      expect(files().sort()).to.deep.equal(before.map(([path]) => path).sort());
    });
  }
});
