// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { Cloud, newPlaces } from './cloud.js';
import { type HostState, hostState } from './host.js';
import { importSmallGuest } from './images.js';

/**
 * One orchestrator with the small guest imported, for a whole suite; after it the host must hold what it held before.
 * Call it first in a `describe`, and call the result in tests.
 */
export function useCloud(env: Record<string, string> = {}): () => Cloud {
  let cloud: Cloud | undefined;
  let held: HostState;
  before(async () => {
    held = hostState();
    cloud = await Cloud.start(newPlaces(), env);
    await importSmallGuest(cloud.client);
  });
  after(async () => {
    await cloud?.destroy();
    expectNothingLeft(held);
  });
  return () => {
    if (cloud === undefined) throw new Error('The orchestrator is not up');
    return cloud;
  };
}

/** Compares what the host holds now with what it held then. */
export function expectNothingLeft(held: HostState): void {
  expect(machineTraces(hostState()), 'left on the host').to.deep.equal(machineTraces(held));
}

/** Without networks, which go some time after their last machine, and never when the orchestrator ends before. */
export function machineTraces(state: HostState): HostState {
  return {
    ...state,
    dnsmasq: [],
    links: state.links.filter((name) => !/^flo-/.test(name)),
    addresses: state.addresses.filter((address) => !/^flo-/.test(address)),
    routes: state.routes.filter((route) => !/ dev flo-/.test(route)),
    rules: state.rules.filter((table) => !/^table \w+ flotilla/.test(table)),
  };
}
