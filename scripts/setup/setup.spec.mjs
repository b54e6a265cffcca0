// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { describePlan } from './index.mjs';
import { PURPOSES, installCommand, missingPackages } from './system-packages.mjs';
import { describeTools, missingTools } from './tools.mjs';

describe('setup', () => {
  it('names the packages of a purpose that are not installed', function () {
    if (process.platform !== 'linux') this.skip();
    assert.deepEqual(missingPackages([]), []);
    assert.ok(PURPOSES.includes('lab'));
    for (const name of missingPackages(PURPOSES)) assert.match(name, /^[a-z0-9][a-z0-9.+-]+$/);
  });

  it('gives one command to somebody who is not root', () => {
    assert.equal(installCommand(['a', 'b']), 'sudo apt-get install -y --no-install-recommends a b');
  });

  it('has nothing to say when nothing is to be done', () => {
    assert.deepEqual(describePlan({ missing: [], tools: [], go: false, dependencies: false, build: false }), []);
    assert.equal(describePlan({ missing: ['x'], tools: [], go: false, dependencies: true, build: true }).length, 3);
  });

  it('says that a tool is missing, whether it can install it or not', () => {
    const tools = missingTools(['test'], () => false);
    assert.deepEqual(
      tools.map(({ name }) => name),
      ['actionlint'],
    );
    assert.deepEqual(
      missingTools(['test'], () => true),
      [],
    );
    assert.deepEqual(
      missingTools(['run'], () => false),
      [],
    );
    assert.match(describeTools(tools, true)[0], /^install actionlint \(go install .*@v\d/);
    assert.match(describeTools(tools, false)[0], /^do without actionlint, which needs Go/);
  });
});
