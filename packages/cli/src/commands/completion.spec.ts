// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { makeProgram } from '../program.js';
import { complete } from './completion.js';

const candidates = (...words: string[]) => {
  const program = makeProgram();
  program.setOptionValue('url', 'http://127.0.0.1:9');
  return complete(program, words, program);
};

describe('Shell completion', () => {
  it('completes nouns, verbs and options', async () => {
    expect(await candidates('mach')).to.deep.equal(['machine']);
    expect(await candidates('machine', 'pa')).to.deep.equal(['pause']);
    expect(await candidates('machine', 'create', '--ker')).to.deep.equal(['--kernel']);
  });

  it('offers nothing where no orchestrator answers', async () => {
    expect(await candidates('machine', 'start', '')).to.deep.equal([]);
  });
});
