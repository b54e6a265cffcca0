// SPDX-License-Identifier: Apache-2.0
// A declared metric that no test moves is a failure. A real Linux moves most (tests/guest/devices.test.ts); who moves the others is listed.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';

import { read, top } from './lib.mjs';

const LIST = 'tests/guest/metrics-elsewhere.json';

/** The text of a test of a Rust file, or undefined. */
function testOf(file, name) {
  const tests = existsSync(join(top, file)) ? read(file).split(/^ *#\[test\]$/m) : [];
  return tests.slice(1).find((text) => new RegExp(`^\\s*fn ${name}\\(`).test(text));
}

describe('Metrics', () => {
  const declared = [...read('packages/native/src/generated/metrics.ts').matchAll(/component: '([^']+)', name: '([^']+)'/g)].map(
    ([, component, name]) => `${component}.${name}`,
  );
  const elsewhere = Object.entries(JSON.parse(read(LIST)));

  it('of the list are declared', () => {
    expect(declared).to.have.length.above(100);
    expect(elsewhere.map(([metric]) => metric).filter((metric) => !declared.includes(metric))).to.deep.equal([]);
  });

  it('that no guest moves are moved by the test that the list names', () => {
    const wrong = elsewhere.filter(([metric, place]) => {
      const [file = '', name = ''] = String(place).split(': ');
      return testOf(file, name)?.includes(metric.slice(metric.indexOf('.') + 1)) !== true;
    });
    expect(wrong).to.deep.equal([]);
  });
});
