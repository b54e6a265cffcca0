// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Disk, Pool } from '@flotilla/sdk';
import { expect } from 'chai';
import { Cloud, newPlaces, smallMachine } from './lib/cloud.js';
import { makeExt4 } from './lib/file-systems.js';
import { Guest } from './lib/guest.js';
import { eventually, type HostState, hostState, run } from './lib/host.js';
import { importSmallGuest } from './lib/images.js';
import { waitLimitMs } from './lib/limits.js';
import { NfsServer } from './lib/nfs-server.js';
import { expectNothingLeft } from './lib/suite.js';
import { surviveDeath } from './lib/two-disks.js';

const mebibyte = 1024 * 1024;
/** An orchestrator that waits for a server waits longer than that. */
const answerLimitMs = 20_000;
const modes = ['hard', 'soft'] as const;
type Mode = (typeof modes)[number];

describe('Machines on an NFS server', () => {
  let folder: string;
  let held: HostState;
  let server: NfsServer;
  let cloud: Cloud;
  const guests = new Map<Mode, Guest>();
  const guestOf = (mode: Mode): Guest => {
    const guest = guests.get(mode);
    if (guest === undefined) throw new Error(`No guest on ${mode}`);
    return guest;
  };

  before(async () => {
    held = hostState();
    folder = mkdtempSync(join(tmpdir(), 'flotilla-nfs-'));
    server = new NfsServer(modes);
    cloud = await Cloud.start(newPlaces());
    await importSmallGuest(cloud.client);
  });
  after(async () => {
    server.start(); // a test that fails half way leaves it away, and pools
    await cloud.clear();
    for (const { name } of await cloud.client.pools.list().all()) if (name !== 'default') await cloud.client.pools.delete(name);
    await cloud.destroy();
    server.destroy();
    rmSync(folder, { recursive: true });
    expectNothingLeft(held);
  });

  const pool = (name: string): Promise<Pool> => cloud.client.pools.get(name);
  const nfsMounts = () =>
    readFileSync('/proc/mounts', 'utf8')
      .match(/^127\.0\.0\.1:\S+/gm)
      ?.sort() ?? [];
  const failed = async (attempt: PromiseLike<unknown>): Promise<unknown> => {
    try {
      await attempt;
      return undefined;
    } catch (error) {
      return error;
    }
  };
  /** Waits until a pool is in a state; meanwhile whatever else is asked is answered. */
  const becomes = async (name: string, state: Pool['state']): Promise<Pool> => {
    let seen: Pool | undefined;
    await eventually(`pool ${name} is ${state}`, waitLimitMs, async () => {
      const began = performance.now();
      await Promise.all([cloud.client.machines.list().all(), cloud.client.images.list().all()]);
      expect(performance.now() - began, 'milliseconds until the orchestrator answers').to.be.below(answerLimitMs);
      seen = await pool(name);
      return seen.state === state;
    });
    return seen as Pool;
  };

  it('have their disks there: whole and linked, and read after a kill what they wrote', async () => {
    const base = join(folder, 'base');
    makeExt4(base, 16 * mebibyte, { text: Buffer.from('from the image') });
    await cloud.client.images.import({ name: 'base', kind: 'disk', format: 'raw', source: { path: base } });
    for (const mode of modes) {
      const options = { mode, timeo: 20, retrans: 1 };
      const made = await cloud.client.pools.define({ name: mode, kind: 'nfs', nfs: { server: server.address, path: `/${mode}`, options } });
      expect(made).to.deep.include({ state: 'ready', nfs: { server: server.address, path: `/${mode}`, options } });
    }
    const other: unknown = await failed(
      cloud.client.pools.define({ name: 'no', kind: 'nfs', nfs: { server: server.address, path: '/none' } }),
    );
    expect(other).to.include({ code: 'pool.place_invalid' }).and.to.have.nested.property('problem.field', 'nfs.path');
    expect(nfsMounts()).to.deep.equal(modes.map((mode) => `${server.address}:/${mode}`));
    expect(readFileSync('/proc/mounts', 'utf8').match(/^127.*$/gm)).to.satisfy((lines: string[]) =>
      lines.every((line) => / rw,nosuid,nodev,noexec,/.test(line)),
    );

    for (const mode of modes) {
      const disks: Disk[] = [
        { name: 'full', image: 'base', pool: mode },
        { name: 'linked', image: 'base', clone: 'linked', pool: mode },
      ];
      guests.set(mode, await cloud.boot(mode, { disks, restartPolicy: { mode: 'never' } }));
    }
    const guest = guestOf('hard');
    const [, linked] = (await guest.machine.refresh()).data.observed.disks;
    const atServer = join(server.root, 'hard/volumes', linked?.volume ?? '');
    expect(() => run('qemu-img', ['info', '-f', 'qcow2', atServer]), 'a lock that the server knows of').to.throw('lock');
    guests.set('hard', await surviveDeath(guest));
  });

  it('wait, or see errors, while the server is away; the orchestrator answers, and says that it is', async () => {
    const [hard, soft] = [guestOf('hard'), guestOf('soft')];
    const writing =
      'i=0; while dd if=/dev/zero of=/mnt/vda/load bs=64k count=4 conv=fsync 2>/dev/null; do i=$((i+1)); echo $i > /tmp/done; done';
    await hard.sh(`(${writing}; echo failed > /tmp/failed) & while [ ! -s /tmp/done ]; do sleep 0.1; done`);
    server.stop();
    for (const mode of modes) {
      const away = await becomes(mode, 'unavailable');
      expect(away.reason).to.include({ code: 'pool.unavailable' });
      expect(away.reason?.detail).to.contain(`${server.address}:/${mode}`);
    }
    expect((await pool('default')).state).to.equal('ready');
    expect(await failed(cloud.client.pools.stop('hard'))).to.include({ code: 'pool.in_use' });
    // What the host has in memory can be read; what is to be there for good cannot be written.
    expect(await soft.sh('dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync 2>/dev/null || echo "not written"')).to.contain(
      'not written',
    );
    expect(await hard.sh('cat /tmp/failed 2>/dev/null || echo "it waits"')).to.contain('it waits');

    await cloud.kill();
    cloud = await Cloud.start(cloud.places);
    await becomes('hard', 'unavailable');
    const refused = await failed(
      cloud.client.machines.create({ ...smallMachine('more'), disks: [{ name: 'a', sizeMiB: 1, pool: 'soft' }] }),
    );
    expect(refused).to.include({ code: 'pool.unavailable' });
    expect(nfsMounts()).to.have.length(2);
  });

  it('go on when it is back, and leave file systems that are whole', async () => {
    server.start();
    for (const mode of modes) await becomes(mode, 'ready');
    expect(nfsMounts(), 'found, not mounted once more').to.have.length(2);
    const machine = await cloud.machine('hard');
    const guest = await Guest.reattach(machine, guestOf('hard').console.offset);
    await guest.sh('was=$(cat /tmp/done); while [ "$(cat /tmp/done)" = "$was" ]; do sleep 0.1; done; [ ! -e /tmp/failed ]', waitLimitMs);
    await guest.sh('for d in vda vdb; do umount /mnt/$d 2>/dev/null || { kill %1; wait; umount /mnt/$d; }; done');
    const volumes = (await machine.refresh()).data.observed.disks.map(({ volume }) => join(server.root, 'hard/volumes', volume));
    await machine.stop({ timeoutSeconds: 60, thenKill: false });
    await cloud.client.pools.stop('hard');
    expect(nfsMounts()).to.deep.equal([`${server.address}:/soft`]);
    const [full = '', linked = ''] = volumes;
    const flat = join(folder, 'flat');
    run('e2fsck', ['-fn', full]);
    run('qemu-img', ['check', '-f', 'qcow2', linked]);
    run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', linked, flat]);
    run('e2fsck', ['-fn', flat]);
    await cloud.client.pools.start('hard');
  });

  it('are ended, and their pool let go of, though the server does not come back', async () => {
    server.stop();
    await becomes('soft', 'unavailable');
    await (await cloud.machine('soft')).kill();
    expect(await failed(cloud.client.pools.stop('soft'))).to.include({ code: 'pool.unavailable' });
    await cloud.client.pools.stop('soft', { force: true });
    expect(nfsMounts()).to.deep.equal([`${server.address}:/hard`]);
    server.start();
    await cloud.client.pools.start('soft');
    await becomes('hard', 'ready');
    await cloud.clear();
    await cloud.client.images.delete('base');
    for (const mode of modes) await cloud.client.pools.delete(mode);
    expect(nfsMounts()).to.deep.equal([]);
    for (const mode of modes) expect(readdirSync(join(server.root, mode))).to.deep.equal([]);
    expect(readdirSync(join(cloud.places.dataDir, 'host/mounts'))).to.deep.equal([]);
  });
});
