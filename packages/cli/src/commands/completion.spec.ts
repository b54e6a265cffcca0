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

  it('completes the options of all that is above a command', async () => {
    expect(await candidates('machine', 'list', '--out')).to.deep.equal(['--output']);
  });

  it('completes values of options, after a space or an equals sign', async () => {
    expect(await candidates('machine', 'list', '-o', 'j')).to.deep.equal(['json']);
    expect(await candidates('machine', 'list', '--output=y')).to.deep.equal(['--output=yaml']);
    expect(await candidates('machine', 'list', '--output', '=', 'y')).to.deep.equal(['yaml']); // as bash splits it
    expect(await candidates('machine', 'list', '--output', '=')).to.deep.equal(['json', 'name', 'table', 'yaml']);
    expect(await candidates('image', 'import', '--kind', '')).to.deep.equal(['disk', 'initrd', 'kernel']);
    expect(await candidates('event', 'watch', '--kind', 'network.')).to.include.members([
      'network.lease',
      'network.ready',
      'network.deleted',
    ]);
    expect(await candidates('machine', 'create', '--no-start', '--isol')).to.deep.equal(['--isolation']);
    expect(await candidates('pool', 're')).to.deep.equal(['refresh']);
    expect(await candidates('pool', 'define', '--kind', '')).to.deep.equal(['dir', 'lvm', 'lvm-thin', 'nfs']);
    expect(await candidates('completion', '')).to.deep.equal(['bash', 'fish', 'zsh']);
  });

  it('offers nothing where no orchestrator answers', async () => {
    expect(await candidates('machine', 'start', '')).to.deep.equal([]);
  });
});
