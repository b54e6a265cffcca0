// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';

import type { Isolation } from '../src/index.js';
import { benchForEach, eventOf, outputUntil } from './support/machines.js';
import { until } from './support/until.js';

for (const isolation of ['process', 'in-process'] satisfies Isolation[]) {
  describe(`What follows a triple fault, isolation ${isolation}`, function () {
    this.timeout(60_000);
    const bench = benchForEach(isolation);

    it('restart: the guest starts again, each time, and can still be ended', async () => {
      const machine = await bench.boot('triple-fault', { onTripleFault: 'restart' });
      expect(await outputUntil(machine, 'fault\nfault\n')).to.match(/^fault\nfault\n/);
      const fault = await eventOf(machine, 'triple-fault');
      expect(fault.registers?.cpu).to.equal(0);
      await eventOf(machine, 'guest-reset');
      expect((await machine.info()).state).to.equal('running');
    });

    it('pause: the machine can be looked at and reset', async () => {
      const machine = await bench.boot('triple-fault', { onTripleFault: 'pause' });
      await eventOf(machine, 'triple-fault');
      await until(async () => (await machine.info()).state === 'paused');
      await machine.reset();
      expect((await machine.info()).state).to.equal('paused');
      await machine.resume();
      expect(await outputUntil(machine, 'fault\nfault\n')).to.equal('fault\nfault\n');
      await until(async () => (await machine.info()).state === 'paused');
    });

    it('stop: the machine has ended', async () => {
      const machine = await bench.boot('triple-fault', { onTripleFault: 'stop' });
      expect((await eventOf(machine, 'stopped')).reason).to.equal('triple-fault');
    });
  });
}
