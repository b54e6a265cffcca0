// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { smallMachine } from './lib/cloud.js';
import { type HostState, hostState } from './lib/host.js';
import { machineTraces, useCloud } from './lib/suite.js';

describe('Twenty machines, one after the other', () => {
  const cloud = useCloud();

  it('leave nothing on the host', async function () {
    this.timeout(900_000);
    const network = { interfaces: [{ name: 'eth0', network: 'default' }], disks: [{ name: 'data', sizeMiB: 8 }] };
    let after: HostState | undefined;
    for (let round = 0; round < 20; round++) {
      const machine = await cloud().client.machines.create(smallMachine(`turn-${round}`, 'flotilla.then=idle', network));
      expect(machine.state).to.equal('running');
      await machine.delete({ force: true });
      after ??= machineTraces(hostState());
      expect(machineTraces(hostState()), `after round ${round}`).to.deep.equal(after);
    }
    expect(await cloud().client.volumes.list().all()).to.have.length(0);
  });
});
