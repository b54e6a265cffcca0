// SPDX-License-Identifier: Apache-2.0
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type Operation, OperationError } from '@flotilla/sdk';
import { expect } from 'chai';
import { Cloud, newPlaces, smallMachine } from './lib/cloud.js';
import { Counter, printedNumber } from './lib/counter.js';
import { Guest } from './lib/guest.js';
import { eventually, type HostState, hostState } from './lib/host.js';
import { importSmallGuest } from './lib/images.js';
import { waitLimitMs } from './lib/limits.js';
import { machineFiles } from './lib/leftovers.js';
import { expectNothingLeft } from './lib/suite.js';
import { useFolders, virtiofsd } from './lib/shares.js';
import { addUplink, passtOf, removeUplink, saidAt, uplink } from './lib/uplink.js';

const interfaces = [{ name: 'eth0', network: 'default' }];
/** The first machine has this one besides, which only its jailed worker and a passt process know of. */
const forwardedPort = 7010;
const user = { forwards: [{ protocol: 'tcp' as const, hostPort: forwardedPort, guestPort: 80 }] };
const forward = `127.0.0.1/${forwardedPort}:80`;
const withUser = [...interfaces, { name: 'eth1', user }];

describe('Three machines, when the orchestrator is killed', () => {
  const names = ['one', 'two', 'three'];
  const folders = useFolders();
  const environment = { FLOTILLA_SHARE_ROOTS: folders.root };
  let held: HostState;
  let cloud: Cloud;
  let guests: Guest[];
  let uptimes: number[];
  let counters: Counter[];
  let running: HostState;

  before(async () => {
    held = hostState();
    addUplink();
    cloud = await Cloud.start(newPlaces(), environment);
    await importSmallGuest(cloud.client);
    const shares = [{ tag: 'data', path: folders.data }];
    const linksOf = (name: string) => (name === names[0] ? { interfaces: withUser, shares } : { interfaces });
    guests = await Promise.all(names.map((name) => cloud.boot(name, { ...linksOf(name), commandLine: 'flotilla.net=dhcp' })));
    uptimes = await Promise.all(guests.map(uptime));
    counters = await Promise.all(guests.map((guest) => Counter.start(guest)));
    await Promise.all(counters.map((counter) => counter.read(5)));
    running = hostState();
    await cloud.kill();
  });

  after(async () => {
    await cloud.destroy();
    removeUplink();
    expectNothingLeft(held);
  });

  it('are adopted by a new one', async () => {
    cloud = await Cloud.start(cloud.places, environment);
    for (const name of names) await (await cloud.machine(name)).waitFor('running', { timeoutMs: waitLimitMs });
  });

  it('went on all the while, and of their consoles not a byte is lost or told twice', async () => {
    for (const [index, counter] of counters.entries()) {
      const again = await Guest.reattach(await cloud.machine(names[index] ?? ''), guests[index]?.console.offset ?? Number.NaN);
      counter.goOn(again);
      const printed = await printedNumber(again.machine);
      expect(printed, 'printed while nobody listened').to.be.greaterThan(counter.last);
      await counter.readBeyond(printed);
      await counter.stop();
      expect(await uptime(again)).to.be.greaterThan(uptimes[index] ?? Infinity);
      again.close();
    }
  });

  it('hold exactly what they held: no tap, address, route, rule, bridge or process is doubled or gone', () => {
    const now = hostState();
    expect(now.workers).to.deep.equal(running.workers);
    expect(now.virtiofsd).to.deep.equal(running.virtiofsd).and.to.have.length(2);
    expect(now.passt).to.deep.equal(running.passt).and.to.have.length(1);
    expect(now.links).to.deep.equal(running.links);
    expect(now.addresses).to.deep.equal(running.addresses);
    expect(now.routes).to.deep.equal(running.routes);
    expect(now.rules).to.deep.equal(running.rules);
    expect(now.rules.join('')).to.contain('masquerade');
    expect(now.dnsmasq).to.have.length(running.dnsmasq.length);
  });

  // What it found of the network is as stored, so the new one had nothing to mend of it.
  it('share their network with a machine that comes later, for which nothing of it is doubled or changed', async () => {
    const later = await cloud.client.machines.create(smallMachine('later', 'flotilla.then=idle', { interfaces }));
    const now = hostState();
    expect(
      now.links.filter((name) => !running.links.includes(name)),
      'its tap',
    ).to.have.length(1);
    expect(now.links).to.include.members([...running.links]);
    expect(now.workers).to.have.length(running.workers.length + 1);
    expect(now.dnsmasq).to.have.length(running.dnsmasq.length);
    const { addresses, routes, rules } = running;
    expect({ addresses: now.addresses, routes: now.routes, rules: now.rules }).to.deep.equal({ addresses, routes, rules });
    await later.delete({ force: true });
  });

  it('are still reached by the port of the host that leads to one of them, which no other can have', async () => {
    const guest = await Guest.reattach(await cloud.machine('one'), (await cloud.machine('one').then((one) => one.logs())).length);
    await guest.sh('ip link set eth1 up && udhcpc -i eth1 -s /etc/udhcpc -q -n -t 10 -T 1');
    expect(await guest.sh('ip -4 address show eth1')).to.contain(uplink.address);
    await guest.type('while :; do echo said by one | nc -l -p 80; done &');
    expect(await saidAt(forwardedPort)).to.contain('said by one');
    guest.close();
    const asked = smallMachine('late', 'flotilla.then=idle', { interfaces: [{ name: 'eth0', user }] });
    const refused: unknown = await cloud.client.machines.create(asked).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refused).to.be.instanceOf(OperationError);
    expect((refused as OperationError).problem).to.include({
      code: 'forward.port_busy',
      field: 'interfaces[0].user.forwards[0].hostPort',
    });
    expect(await cloud.client.machines.list({ name: 'late' }).all(), 'what is left of it').to.have.length(0);
  });

  it('still have the folder that the host shares with one of them, also after a pause', async () => {
    const machine = await cloud.machine('one');
    const guest = await Guest.reattach(machine, (await machine.logs()).length);
    await guest.sh('mkdir -p /mnt/data && mount -t virtiofs data /mnt/data');
    await machine.pause();
    await machine.resume();
    expect(await guest.sh('cat /mnt/data/hello; echo by one > /mnt/data/answer')).to.equal('written by the host');
    expect(readFileSync(join(folders.data, 'answer'), 'utf8')).to.equal('by one\n');
    // A guest that still has it waits for what serves it when it powers off.
    await guest.sh('umount /mnt/data');
    guest.close();
    // A folder that became a way out of the roots since the machine was made is not followed at its next start.
    const late = await cloud.client.machines.create(
      smallMachine('late', '', { start: false, shares: [{ tag: 'way', path: join(folders.data, 'way') }] }),
    );
    symlinkSync('/etc', join(folders.data, 'way'));
    const refused: unknown = await late.start().then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refused).to.be.instanceOf(OperationError);
    expect((refused as OperationError).problem).to.include({ code: 'share.forbidden', field: 'shares[0].path' });
    await late.delete({ force: true });
  });

  it('run on without what serves their network and their folder, and the new one tells of it', async () => {
    const { id } = (await cloud.machine('one')).data;
    const events = await cloud.client.events({ target: id, kinds: ['machine.*'] }).opened();
    for (const pid of [passtOf(forward), ...virtiofsd()]) process.kill(pid ?? Number.NaN, 'SIGKILL');
    const told = new Map<string, unknown>();
    for await (const { kind, data } of events) {
      told.set(kind, data);
      if (told.has('machine.link_lost') && told.has('machine.share_lost')) break;
    }
    expect(told.get('machine.link_lost')).to.deep.equal({ interface: 'eth1' });
    expect(told.get('machine.share_lost')).to.deep.equal({ share: 'data' });
    expect((await cloud.machine('one')).state).to.equal('running');
  });

  it('can be stopped and deleted by the new one', async () => {
    const machine = await cloud.machine('one');
    await machine.stop({ timeoutSeconds: 60 });
    await eventually('passt is gone', waitLimitMs, () => hostState().passt.length === 0);
    await eventually('virtiofsd is gone', waitLimitMs, () => hostState().virtiofsd.length === 0);
    await machine.delete();
    expect((await cloud.client.machines.list({ name: 'one' })).items).to.have.length(0);
  });
});

describe('An operation that the death of the orchestrator interrupts', () => {
  it('is finished or failed with a reason by the next one', async () => {
    const held = hostState();
    const first = await Cloud.start(newPlaces());
    await importSmallGuest(first.client);
    const accepted = await first.client.machines.create(smallMachine('halfway', '', { disks: [{ name: 'data', sizeMiB: 64 }] })).accepted();
    await first.kill();
    const second = await Cloud.start(first.places);
    const waited = second.client.operations.wait(accepted.id, { timeoutMs: 300_000 });
    const failed = await waited.then(
      () => undefined,
      (error: unknown) => error,
    );
    const operation = await second.client.operations.get(accepted.id);
    if (failed === undefined) await expectWhole(second, operation);
    else await expectTakenBack(second, operation, failed);
    await second.destroy();
    expectNothingLeft(held);
  });
});

/** Finished: the machine runs and has what it needs, each once. */
async function expectWhole(cloud: Cloud, { state }: Operation): Promise<void> {
  expect(state).to.equal('succeeded');
  expect((await cloud.machine('halfway')).state).to.equal('running');
  expect(machineFiles(cloud.places).map((file) => file.split('/')[0])).to.deep.equal(['run', 'volume']);
  expect(hostState().workers).to.have.length(1);
}

/** Failed with a reason and a remedy: nothing of the machine is there. */
async function expectTakenBack(cloud: Cloud, operation: Operation, failed: unknown): Promise<void> {
  expect(failed).to.be.instanceOf(OperationError);
  expect(operation.state).to.equal('failed');
  for (const word of ['code', 'detail', 'remedy'] as const) expect(operation.error?.[word], word).to.be.a('string').that.is.not.empty;
  expect((await cloud.client.machines.list().all()).map(({ name }) => name)).to.deep.equal([]);
  expect(machineFiles(cloud.places)).to.deep.equal([]);
  expect(hostState().workers).to.have.length(0);
}

async function uptime(guest: Guest): Promise<number> {
  return Number((await guest.sh('cat /proc/uptime')).split(' ')[0]);
}
