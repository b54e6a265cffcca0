// SPDX-License-Identifier: Apache-2.0
import { run } from './lib.mjs';

const npx = (...args) => run('npx', ['--no-install', ...args]);

describe('TypeScript', () => {
  it('is formatted and lint-free (mend: npx biome check --write)', () => {
    npx('biome', 'check', '--error-on-warnings', '.');
  });

  it('leaves no promise unawaited and names no layer it may not', () => {
    npx('eslint', '.');
  });
});
