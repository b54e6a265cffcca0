// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';

import { isRequired, skip } from './lib.mjs';

describe('A test that wants a tool', () => {
  it('may not skip where the set-up installs the tool, if REQUIRE_TOOLS is 1, nor anywhere if it is "all"', () => {
    const asked = (wanted) => ['actionlint', 'cargo-deny'].map((tool) => isRequired(tool, wanted, ['actionlint']));
    expect(['', '1', 'all'].map(asked)).to.deep.equal([
      [false, false],
      [true, false],
      [true, true],
    ]);
    const test = { test: { fullTitle: () => '' }, skip: () => expect.fail('it skipped') };
    expect(() => skip(test, 'npm run setup', { tool: 'actionlint', required: true })).to.throw(/actionlint is missing .*npm run setup/);
  });
});
