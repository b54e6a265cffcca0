// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';

import type { Isolation } from '../src/index.js';
import { benchForEach, bootAndRead, eventOf, outputUntil } from './support/machines.js';
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

  describe(`What follows a watchdog that was not reset in time, isolation ${isolation}`, function () {
    this.timeout(60_000);
    const bench = benchForEach(isolation);

    it('reset: the guest starts again, and is told why', async () => {
      const machine = await bench.create('watchdog', { watchdog: {}, onReboot: 'stop' });
      expect(await bootAndRead(machine, 'bitten\n')).to.equal('ready\nbitten\n');
      expect((await eventOf(machine, 'watchdog')).action).to.equal('reset');
      await eventOf(machine, 'guest-reset');
      expect((await eventOf(machine, 'stopped')).reason).to.equal('powered-off');
    });

    it('poweroff: the machine has ended', async () => {
      const machine = await bench.boot('watchdog', { watchdog: { action: 'poweroff' } });
      expect((await eventOf(machine, 'stopped')).reason).to.equal('watchdog');
    });

    it('pause: the machine can be looked at and reset', async () => {
      const machine = await bench.boot('watchdog', { watchdog: { action: 'pause' } });
      expect((await eventOf(machine, 'watchdog')).action).to.equal('pause');
      await until(async () => (await machine.info()).state === 'paused');
      await machine.reset();
      await machine.resume();
      expect(await outputUntil(machine, 'ready\nready\n')).to.equal('ready\nready\n');
    });

    it('report: the guest goes on', async () => {
      const machine = await bench.boot('watchdog', { watchdog: { action: 'report' } });
      expect((await eventOf(machine, 'watchdog')).action).to.equal('report');
      expect((await machine.info()).state).to.equal('running');
      expect((await machine.metrics())['watchdog.expirations']).to.equal(1);
    });
  });
}
