// SPDX-License-Identifier: Apache-2.0
// The published schema is as strict as the validation, where a schema can say it: both are tried on the cases of
// crates/spec/tests/parse.rs.
import Ajv2020 from 'ajv/dist/2020.js';
import { expect } from 'chai';

import { read } from './lib.mjs';

describe('The JSON schema of a machine', () => {
  const schema = JSON.parse(read('crates/spec/schema/machine-spec.schema.json'));
  // `uint16` and the like are formats of the generator, for readers; the bounds beside them are what counts.
  const accepts = new Ajv2020.default({ strict: true, formats: { uint8: true, uint16: true, uint32: true, uint64: true } }).compile(schema);
  const cases = read('crates/spec/schema/machine-spec.cases.jsonl')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

  it('refuses what the validation refuses, unless only the host or a comparison shows it, and accepts the rest', () => {
    const wrong = cases.filter(({ accepted, spec }) => accepts(spec) !== accepted);
    expect(wrong).to.deep.equal([]);
  });

  it('was tried on cases of both kinds', () => {
    const accepted = cases.filter((one) => one.accepted).length;
    expect([accepted >= 4, cases.length - accepted >= 30]).to.deep.equal([true, true]);
  });
});
