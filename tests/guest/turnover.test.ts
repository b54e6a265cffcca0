// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'chai';
import { smallMachine } from './lib/cloud.js';
import { eventually, type HostState, hostState } from './lib/host.js';
import { machineFiles } from './lib/leftovers.js';
import { machineTraces, useCloud } from './lib/suite.js';
import { waitLimitMs } from './lib/limits.js';

const table = 'table inet flotilla-default';
const rounds = 20;

describe('Twenty machines, one after the other', () => {
  const cloud = useCloud();

  it('leave nothing on the host', async function () {
    this.timeout(1_500_000);
    const network = { interfaces: [{ name: 'eth0', network: 'default' }], disks: [{ name: 'data', sizeMiB: 8 }] };
    const before = hostState();
    let used: Partial<HostState> | undefined;
    for (let round = 0; round < rounds; round++) {
      const machine = await cloud().client.machines.create(smallMachine(`turn-${round}`, 'flotilla.then=idle', network));
      expect(machine.state).to.equal('running');
      expect(kinds(machineFiles(cloud().places))).to.deep.equal(['run', 'tap', 'volume']);
      // What is left or doubled in a round is there at the end too; in a lab a look at the whole host takes as long as a machine.
      const looks = round === 0 || round === rounds - 1;
      if (looks) {
        const { rules, addresses, routes } = hostState();
        used ??= { rules, addresses, routes };
        expect({ rules, addresses, routes }, `the network of round ${round}`).to.deep.equal(used);
      }
      await machine.delete({ force: true });
      if (looks) expect(machineTraces(hostState()), `after round ${round}`).to.deep.equal(machineTraces(before));
      expect(machineFiles(cloud().places), `after round ${round}`).to.deep.equal([]);
    }
    expect((used?.rules ?? []).map(nameOf), 'the table of the network').to.include(table);
    // Another cloud may have left a table of that name, which this one's network took over and away.
    const without = (state: HostState) => ({ ...state, rules: state.rules.filter((rules) => nameOf(rules) !== table) });
    await eventually('the network that nobody uses is gone too, its table also', waitLimitMs, () =>
      isDeepStrictEqual(hostState(), without(before)),
    );
    expect(await cloud().client.volumes.list().all()).to.have.length(0);
  });
});

/** The first line of a table: family and name. */
function nameOf(rules: string): string {
  return /^table \S+ \S+/.exec(rules)?.[0] ?? '';
}

function kinds(files: readonly string[]): string[] {
  return files.map((file) => file.split('/')[0] ?? '');
}
