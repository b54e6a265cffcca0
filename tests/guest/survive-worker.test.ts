// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { Guest } from './lib/guest.js';
import { eventually, hostState } from './lib/host.js';
import { machineTraces, useCloud } from './lib/suite.js';
import { waitLimitMs } from './lib/limits.js';

describe('A machine whose worker is killed', () => {
  const cloud = useCloud();

  it('is failed with the cause soon, holds nothing any more, and can be started again', async () => {
    const before = machineTraces(hostState());
    const guest = await cloud().boot('victim', {
      restartPolicy: { mode: 'never' },
      disks: [{ name: 'data', sizeMiB: 8 }],
      interfaces: [{ name: 'eth0', network: 'default' }],
    });
    await guest.sh("echo 'still here' | dd of=/dev/vda conv=fsync 2>/dev/null");
    const pid = (await guest.machine.refresh()).data.observed.workerPid ?? 0;
    process.kill(pid, 'SIGKILL');
    await eventually('the machine is failed', waitLimitMs, async () => (await guest.machine.refresh()).state === 'failed');
    const failed = await guest.machine.refresh();
    expect(failed.data.observed.reason?.code).to.equal('worker.gone');
    expect(failed.data.observed.reason?.remedy).to.be.a('string').and.not.equal('');
    await eventually('its tap is gone', 5000, () => machineTraces(hostState()).links.length === before.links.length);
    expect(machineTraces(hostState())).to.deep.equal(before);
    // The next worker takes the lock of the disk, which the dead one held.
    const again = await Guest.attach(await failed.start());
    expect(await again.sh('head -c 10 /dev/vda')).to.equal('still here');
    await again.machine.delete({ force: true });
    expect(machineTraces(hostState())).to.deep.equal(before);
  });

  it('is started again by its restart policy, later each time', async () => {
    const guest = await cloud().boot('phoenix', { restartPolicy: { mode: 'on-failure', maxRetries: 3, backoffSeconds: 1 } });
    const waits: number[] = [];
    for (let round = 1; round <= 2; round++) {
      const pid = (await guest.machine.refresh()).data.observed.workerPid ?? 0;
      process.kill(pid, 'SIGKILL');
      await eventually('it says when it is tried again', waitLimitMs, async () => {
        const { observed, updatedAt } = (await guest.machine.refresh()).data;
        if (observed.nextRestartAt === undefined) return false;
        waits.push(Date.parse(observed.nextRestartAt) - Date.parse(updatedAt));
        return true;
      });
      await eventually('it runs in another worker', waitLimitMs, async () => {
        const { observed } = (await guest.machine.refresh()).data;
        return observed.state === 'running' && observed.workerPid !== pid;
      });
    }
    const machine = await guest.machine.refresh();
    expect(machine.data.observed.restarts).to.equal(2);
    expect(waits[1]).to.be.greaterThan((waits[0] ?? Number.NaN) * 1.2);
    await machine.delete({ force: true });
  });
});
