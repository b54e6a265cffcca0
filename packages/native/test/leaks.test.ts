// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';

import { type Isolation, listWorkers, openConsole } from '../src/index.js';
import { holdings, requireKvm, scratch } from './support/host.js';
import { Bench, eventOf, readUntil } from './support/machines.js';

const ROUNDS = 200;

for (const isolation of ['process', 'in-process'] satisfies Isolation[]) {
  describe(`${ROUNDS} machines in turn, isolation ${isolation}`, function () {
    this.timeout(300_000);
    let bench: Bench;
    let folder: ReturnType<typeof scratch>;
    let disk: string;

    before(function () {
      requireKvm(this);
      bench = new Bench(isolation);
      folder = scratch();
      disk = join(folder.path, 'disk');
      writeFileSync(disk, Buffer.alloc(1 << 16));
    });
    after(async () => {
      await bench.clear();
      folder.remove();
    });

    /** A machine with a disk and an open console: it ends by itself, or is killed at work with its console still open. */
    const round = async (index: number): Promise<void> => {
      const machine = await bench.create('disk', { rng: false, disks: [{ id: 'd', source: { path: disk }, format: 'raw' }] });
      const console = await openConsole({ path: machine.consolePath, offset: 0 });
      await machine.boot();
      if (index % 2 === 0) {
        await readUntil(console, 'done\n');
        await eventOf(machine, 'stopped');
      }
      if (index % 4 < 2) console.close();
      await machine.kill();
      await machine.close();
      console.close();
    };

    it('leave no descriptor, thread, process, zombie or run directory behind', async () => {
      for (let index = 0; index < 10; index += 1) await round(index);
      const before = await settledHoldings();
      for (let index = 0; index < ROUNDS; index += 1) await round(index);
      const after = await settledHoldings();
      expect(after.descriptors).to.deep.equal(before.descriptors);
      expect(after.threads.length).to.be.at.most(before.threads.length);
      expect(after.children).to.deep.equal(before.children);
      expect(await listWorkers(bench.runtimeDirectory)).to.deep.equal([]);
    });
  });
}

/** Idle threads of the pool end after ten seconds. */
async function settledHoldings(): Promise<ReturnType<typeof holdings>> {
  await sleep(11_000);
  return holdings();
}
