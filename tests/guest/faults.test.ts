// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { Cloud, newPlaces, removePlaces, smallMachine } from './lib/cloud.js';
import { type HostState, hostState } from './lib/host.js';
import { importSmallGuest } from './lib/images.js';
import { imageFiles, machineFiles, type Places } from './lib/leftovers.js';
import { expectNothingLeft } from './lib/suite.js';

/** A machine with all that leaves traces: a volume, a tap, an address, a worker. */
const request = smallMachine('fault', 'flotilla.then=idle', {
  disks: [{ name: 'data', sizeMiB: 8 }],
  interfaces: [{ name: 'eth0', network: 'default' }],
});

describe('The death of the orchestrator between any two steps', function () {
  this.timeout(1_500_000);
  let held: HostState;
  let images: string[];
  let places: Places;
  let steps: Record<'create' | 'delete', readonly string[]>;

  before(async () => {
    held = hostState();
    places = newPlaces();
    const cloud = await Cloud.start(places);
    await importSmallGuest(cloud.client);
    const created = await cloud.client.operations.wait((await cloud.client.machines.create(request).accepted()).id);
    const deleted = await cloud.client.operations.wait((await cloud.client.machines.delete('fault', { force: true }).accepted()).id);
    steps = { create: created.steps.map(({ name }) => name), delete: deleted.steps.map(({ name }) => name) };
    images = imageFiles(places);
    await cloud.stop();
  });

  after(() => {
    removePlaces(places);
    expectNothingLeft(held);
  });

  /** On the host and in the directories; a network goes later, when nobody uses it. */
  function expectNothingOfTheMachine(): void {
    expectNothingLeft(held);
    expect(machineFiles(places)).to.deep.equal([]);
    expect(imageFiles(places)).to.deep.equal(images);
  }

  it('of create leaves the whole machine, or nothing of it', async () => {
    expect(steps.create).to.have.length.greaterThan(2);
    for (const step of steps.create) {
      const doomed = await Cloud.start(places, { NODE_ENV: 'test', FLOTILLA_FAULT: `machine.create.${step}` });
      await doomed.client.machines
        .create(request, { maxRetries: 0 })
        .accepted()
        .catch(() => undefined);
      await doomed.exited();
      const cloud = await Cloud.start(places);
      await settled(cloud);
      const [machine] = await cloud.client.machines.list({ name: 'fault' }).all();
      if (machine !== undefined) {
        expect(machine.state, `after a death behind ${step}`).to.equal('running');
        await machine.delete({ force: true });
      }
      expect(await cloud.client.volumes.list().all(), `volumes after a death behind ${step}`).to.have.length(0);
      expectNothingOfTheMachine();
      await cloud.stop();
    }
  });

  it('of delete ends with nothing left of the machine', async () => {
    expect(steps.delete).to.have.length.greaterThan(1);
    for (const step of steps.delete) {
      const doomed = await Cloud.start(places, { NODE_ENV: 'test', FLOTILLA_FAULT: `machine.delete.${step}` });
      await doomed.client.machines.create(request);
      await doomed.client.machines
        .delete('fault', { force: true }, { maxRetries: 0 })
        .accepted()
        .catch(() => undefined);
      await doomed.exited();
      const cloud = await Cloud.start(places);
      await settled(cloud);
      expect(await cloud.client.machines.list({ name: 'fault' }).all(), `after a death behind ${step}`).to.have.length(0);
      expect(await cloud.client.volumes.list().all(), `volumes after a death behind ${step}`).to.have.length(0);
      expectNothingOfTheMachine();
      await cloud.stop();
    }
  });
});

/** Waits until no operation is under way. */
async function settled(cloud: Cloud): Promise<void> {
  for (const state of ['pending', 'running'] as const) {
    for await (const operation of cloud.client.operations.list({ state }))
      await cloud.client.operations.wait(operation.id).catch(() => undefined);
  }
}
