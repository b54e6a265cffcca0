// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';

import { type Isolation, listWorkers } from '../src/index.js';
import { holdings, requireKvm } from './support/host.js';
import { Bench, eventOf } from './support/machines.js';

const ROUNDS = 200;

for (const isolation of ['process', 'in-process'] satisfies Isolation[]) {
  describe(`${ROUNDS} machines in turn, isolation ${isolation}`, function () {
    this.timeout(300_000);
    let bench: Bench;

    before(function () {
      requireKvm(this);
      bench = new Bench(isolation);
    });
    after(() => bench.clear());

    const round = async (index: number): Promise<void> => {
      const machine = await bench.boot('hello');
      if (index % 2 === 0) await eventOf(machine, 'stopped');
      await machine.kill();
      await machine.close();
    };

    it('leave no descriptor, thread or run directory behind', async () => {
      for (let index = 0; index < 10; index += 1) await round(index);
      const before = await settledHoldings();
      for (let index = 0; index < ROUNDS; index += 1) await round(index);
      const after = await settledHoldings();
      expect(after.descriptors).to.deep.equal(before.descriptors);
      expect(after.threads.length).to.be.at.most(before.threads.length);
      expect(await listWorkers(bench.runtimeDirectory)).to.deep.equal([]);
    });
  });
}

/** Idle threads of the pool end after ten seconds. */
async function settledHoldings(): Promise<ReturnType<typeof holdings>> {
  await sleep(11_000);
  return holdings();
}
