// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { eventually, hostState } from './lib/host.js';
import { machineTraces, useCloud } from './lib/suite.js';

describe('A machine whose worker is killed', () => {
  const cloud = useCloud();

  it('is failed with the cause within a second, and holds nothing any more', async () => {
    const before = machineTraces(hostState());
    const guest = await cloud().boot('victim', { restartPolicy: { mode: 'never' }, interfaces: [{ name: 'eth0', network: 'default' }] });
    const pid = (await guest.machine.refresh()).data.observed.workerPid ?? 0;
    const killed = performance.now();
    process.kill(pid, 'SIGKILL');
    await eventually('the machine is failed', 1000, async () => (await guest.machine.refresh()).state === 'failed');
    expect(performance.now() - killed).to.be.lessThan(1000);
    const failed = await guest.machine.refresh();
    expect(failed.data.observed.reason?.code).to.equal('worker.gone');
    expect(failed.data.observed.reason?.remedy).to.be.a('string').and.not.equal('');
    await eventually('its tap is gone', 5000, () => machineTraces(hostState()).links.length === before.links.length);
    expect(machineTraces(hostState())).to.deep.equal(before);
    await failed.delete();
  });

  it('is started again by its restart policy, later each time', async () => {
    const guest = await cloud().boot('phoenix', { restartPolicy: { mode: 'on-failure', maxRetries: 3, backoffSeconds: 1 } });
    const starts: number[] = [];
    for (let round = 1; round <= 2; round++) {
      const pid = (await guest.machine.refresh()).data.observed.workerPid ?? 0;
      const killed = performance.now();
      process.kill(pid, 'SIGKILL');
      await eventually('it runs in another worker', 60_000, async () => {
        const { observed } = (await guest.machine.refresh()).data;
        return observed.state === 'running' && observed.workerPid !== pid;
      });
      starts.push(performance.now() - killed);
    }
    const machine = await guest.machine.refresh();
    expect(machine.data.observed.restarts).to.equal(2);
    expect(starts[1]).to.be.greaterThan((starts[0] ?? 0) * 1.2);
    await machine.delete({ force: true });
  });
});
