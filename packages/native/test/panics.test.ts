// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';

import { type Machine, openConsole } from '../src/index.js';
import { provokePanic } from '../src/native.js';
import { scratch } from './support/host.js';
import { benchForEach, bootAndRead, eventOf, readUntil } from './support/machines.js';
import { rejects } from './support/rejects.js';

describe('A panic on a thread of a machine in this process', function () {
  this.timeout(60_000);
  const bench = benchForEach('in-process');
  let folder: ReturnType<typeof scratch>;
  let bystander: Machine;

  beforeEach(async () => {
    folder = scratch();
    bystander = await bench.boot('echo');
  });
  afterEach(() => folder.remove());

  it('of a virtual CPU ends that machine, names it, and nothing else', async () => {
    await provokePanic('vcpu');
    await ends(await bench.boot('ticker', { cpus: 2 }), 'vCPU 0');
  });

  it('of a device ends that machine, names it, and nothing else', async () => {
    const path = join(folder.path, 'disk');
    writeFileSync(path, Buffer.alloc(1 << 16));
    const disk = { id: 'd', source: { path }, format: 'raw' as const };
    await provokePanic('device');
    await ends(await bench.boot('disk', { rng: false, disks: [disk] }), 'device disk:d');
    // What it held is free again: the disk, and the right to be made.
    const next = await bench.boot('disk', { rng: false, disks: [disk] });
    expect((await eventOf(next, 'stopped')).reason).to.equal('powered-off');
  });

  /** The machine is over and can be cleared away; the one beside it, and the next one, run. */
  async function ends(machine: Machine, place: string): Promise<void> {
    const stopped = await eventOf(machine, 'stopped');
    expect(stopped).to.include({ reason: 'error', code: 'core.panic' });
    expect(stopped.message).to.include(place).and.to.include('provoked in').and.to.include('Flotilla');
    expect((await machine.info()).state).to.equal('stopped');
    await rejects(machine.resume(), 'machine.state');
    await machine.kill();

    const console = await openConsole({ path: bystander.consolePath, offset: 0, write: true });
    await readUntil(console, 'ready\n');
    await console.write(Buffer.from('STILL HERE'));
    await readUntil(console, 'STILL HERE');
    console.close();
    expect(await bootAndRead(await bench.create('hello'), 'hello\n')).to.equal('hello\n');
  }
});
