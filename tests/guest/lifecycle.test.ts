// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { smallMachine } from './lib/cloud.js';
import { Counter, printedNumber } from './lib/counter.js';
import { Guest } from './lib/guest.js';
import { useCloud } from './lib/suite.js';
import { inEachIsolation } from './lib/variants.js';

describe('The life of a machine', () => {
  const cloud = useCloud();

  inEachIsolation((isolation) => {
    afterEach(() => cloud().clear());

    it('begins with the CPUs it asked for', async () => {
      const guest = await cloud().boot('processors', { isolation, cpus: 4 });
      expect(await guest.sh('nproc')).to.equal('4');
    });

    it('powers off when the power button is pressed', async () => {
      const guest = await cloud().boot('button', { isolation });
      const stopped = await guest.machine.stop({ timeoutSeconds: 60, thenKill: false });
      expect(stopped.state).to.equal('stopped');
      expect(await stopped.logs()).to.contain('flotilla-init ready');
    });

    it('is stopped after the guest powers itself off', async () => {
      const machine = await cloud().client.machines.create(
        smallMachine('poweroff', 'flotilla.then=poweroff', { isolation, restartPolicy: { mode: 'never' } }),
      );
      const stopped = await machine.waitFor('stopped', { timeoutMs: 300_000 });
      expect(stopped.data.observed.reason?.code).to.be.oneOf([undefined, 'guest.powered_off']);
    });

    it('stays in the same process when the guest reboots', async () => {
      const guest = await cloud().boot('reboot', { isolation });
      const pid = (await guest.machine.refresh()).data.observed.workerPid;
      expect(pid === cloud().pid, 'lives in the orchestrator').to.equal(isolation === 'in-process');
      await guest.reboot();
      expect((await guest.machine.refresh()).data.observed.workerPid).to.equal(pid);
    });

    it('fails with the registers when the guest kernel panics', async () => {
      const machine = await cloud().client.machines.create(
        smallMachine('panic', 'panic=0 flotilla.then=panic', { isolation, restartPolicy: { mode: 'never' } }),
      );
      const failed = await waitForFailure(machine);
      expect(failed.data.observed.reason?.code).to.equal('guest.panic');
      expect(failed.data.observed.reason?.registers).to.have.property('rip');
    });

    it('keeps its disk through stop and start, and is as large as it was made in between', async () => {
      const guest = await cloud().boot('keeper', { isolation, disks: [{ name: 'data', sizeMiB: 16 }] });
      await guest.sh("echo 'still here' | dd of=/dev/vda conv=fsync 2>/dev/null");
      await guest.machine.stop({ timeoutSeconds: 60 });
      const changed = await guest.machine.update({ name: 'changed', cpus: 2, memoryMiB: 192 });
      const again = await Guest.attach(await changed.start());
      expect(await again.sh('head -c 10 /dev/vda')).to.equal('still here');
      expect(await again.sh('nproc')).to.equal('2');
      const megabytes = Number(await again.sh("awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo"));
      expect(megabytes, 'of 192, less what the kernel takes').to.be.within(140, 192);
    });

    it('does not run while it is paused, and goes on where it was', async () => {
      const witness = await cloud().boot('witness', { isolation });
      const guest = await cloud().boot('pause', { isolation });
      const counter = await Counter.start(guest);
      await counter.read(5);
      const paused = await guest.machine.pause();
      expect(paused.state).to.equal('paused');
      const before = await paused.logs();
      const reached = await printedNumber(paused);
      // Ten of the paused one's lines would take this long.
      await witness.sh('sleep 1');
      expect(await paused.logs()).to.equal(before);
      await paused.resume();
      await counter.readBeyond(reached);
    });
  });
});

async function waitForFailure(machine: Guest['machine']): Promise<Guest['machine']> {
  try {
    await machine.waitFor('failed', { timeoutMs: 300_000 });
  } catch {
    // waitFor rejects for a machine that fails, which is what is wanted here.
  }
  const seen = await machine.refresh();
  expect(seen.state).to.equal('failed');
  return seen;
}
