// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { allCommands, makeProgram } from '../src/program.js';
import { Cloud } from './cloud.js';

describe('flotilla --help', () => {
  const cloud = new Cloud();
  after(() => cloud.stop());

  it('lists the commands, the exit statuses and the environment, on stdout', async () => {
    const { status, stdout, stderr } = await cloud.flotilla('--help');
    expect([status, stderr]).to.deep.equal([0, '']);
    for (const text of ['doctor', 'machine', '130 interrupted', 'FLOTILLA_URL']) expect(stdout).to.contain(text);
    expect((await cloud.flotilla('--version')).stdout).to.match(/^\d+\.\d+\.\d+\n$/);
  });

  it('is there for each command, with each of its options explained', async () => {
    for (const command of allCommands(makeProgram())) {
      if (command.name().startsWith('__')) continue;
      const help = command.helpInformation();
      expect(help, command.name()).to.contain('Usage: flotilla');
      expect(command.description(), command.name()).not.to.equal('');
      for (const { long, description } of command.options) {
        expect(help).to.contain(long);
        expect(description, `${command.name()} ${long}`).not.to.equal('');
      }
    }
    const { status, stdout } = await cloud.flotilla('machine', 'stop', '--help');
    expect(status).to.equal(0);
    expect(stdout).to.contain('--no-kill').and.to.contain('default: 30');
  });

  it('is pointed to after an option that is not understood', async () => {
    const { status, stdout, stderr } = await cloud.flotilla('machine', 'list', '--colour');
    expect([status, stdout]).to.deep.equal([2, '']);
    expect(stderr).to.contain('--colour').and.to.contain('--help');
  });
});
