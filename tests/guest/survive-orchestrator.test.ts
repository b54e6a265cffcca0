// SPDX-License-Identifier: Apache-2.0
import { type Operation, OperationError } from '@flotilla/sdk';
import { expect } from 'chai';
import { Cloud, newPlaces, smallMachine } from './lib/cloud.js';
import { Counter, printedNumber } from './lib/counter.js';
import { Guest } from './lib/guest.js';
import { type HostState, hostState, withinMs } from './lib/host.js';
import { importSmallGuest } from './lib/images.js';
import { machineFiles } from './lib/leftovers.js';
import { expectNothingLeft } from './lib/suite.js';

const adoptionLimitMs = withinMs(2_000);
const interfaces = [{ name: 'eth0', network: 'default' }];

describe('Three machines, when the orchestrator is killed', () => {
  const names = ['one', 'two', 'three'];
  let held: HostState;
  let cloud: Cloud;
  let guests: Guest[];
  let uptimes: number[];
  let counters: Counter[];
  let running: HostState;

  before(async () => {
    held = hostState();
    cloud = await Cloud.start(newPlaces());
    await importSmallGuest(cloud.client);
    guests = await Promise.all(names.map((name) => cloud.boot(name, { interfaces, commandLine: 'flotilla.net=dhcp' })));
    uptimes = await Promise.all(guests.map(uptime));
    counters = await Promise.all(guests.map((guest) => Counter.start(guest)));
    await Promise.all(counters.map((counter) => counter.read(5)));
    running = hostState();
    await cloud.kill();
  });

  after(async () => {
    await cloud.destroy();
    expectNothingLeft(held);
  });

  it('are adopted soon after a new one listens', async () => {
    cloud = await Cloud.start(cloud.places);
    const listened = performance.now();
    for (const name of names) await (await cloud.machine(name)).waitFor('running', { timeoutMs: adoptionLimitMs });
    expect(performance.now() - listened).to.be.lessThan(adoptionLimitMs);
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

  it('can be stopped and deleted by the new one', async () => {
    const machine = await cloud.machine('one');
    await machine.stop({ timeoutSeconds: 60 });
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
    const waited = second.client.operations.wait(accepted.id, { timeoutMs: 60_000 });
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
