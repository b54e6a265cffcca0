// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';

import { read, run, top } from './lib.mjs';
import { generators } from '../../scripts/generate/generators.mjs';

describe('Generated files', () => {
  for (const { name, files, argv, env } of generators) {
    it(`are up to date: ${name} (mend: npm run gen)`, () => {
      const before = files().map((path) => [path, read(path)]);
      const [program, ...args] = argv;
      run(program, args, { cwd: top, env: { ...process.env, ...env } });
      const changed = before.filter(([path, text]) => read(path) !== text).map(([path]) => path);
      expect(changed).to.deep.equal([]);
      expect(files().sort()).to.deep.equal(before.map(([path]) => path).sort());
    });
  }
});
