// SPDX-License-Identifier: Apache-2.0
// The same suite run again: for each place where a machine may live, and for each way in which it came to be as it is.
import type { Guest } from './guest.js';

/** In a worker process of its own, or in the process of the orchestrator. */
const isolations = ['process', 'in-process'] as const;
export type Isolation = (typeof isolations)[number];

/**
 * Runs a suite for both isolations. The suites of a death are none of these: nothing in a process outlives it, and without a
 * worker there is none to kill. What an isolation has no part in (input that is refused) need not be run twice either.
 */
export function inEachIsolation(suite: (isolation: Isolation) => void): void {
  for (const isolation of isolations) describe(`with isolation ${isolation}`, () => suite(isolation));
}

/** A machine that the device tests run on. */
export interface Kind {
  readonly isolation: Isolation;
  readonly profile: 'standard' | 'micro';
}

/** Runs a suite on both transports: PCI in both isolations, and MMIO. */
export function onEachTransport(suite: (kind: Kind) => void): void {
  const pci = isolations.map((isolation): Kind => ({ isolation, profile: 'standard' }));
  for (const kind of [...pci, { isolation: 'process', profile: 'micro' } as const]) {
    describe(`of the profile ${kind.profile} with isolation ${kind.isolation}`, () => suite(kind));
  }
}

const provenances: Record<string, (guest: Guest) => Promise<void>> = {
  fresh: async () => undefined,
  rebooted: (guest) => guest.reboot(),
  'paused and resumed': async ({ machine }) => {
    await machine.pause();
    await machine.resume();
  },
};

/** Runs a suite on a guest that is fresh, again after it rebooted from within, and again after its machine was paused. */
export function inEachProvenance(guest: () => Guest, suite: () => void): void {
  for (const [provenance, arrange] of Object.entries(provenances)) {
    describe(`that is ${provenance}`, () => {
      before(() => arrange(guest()));
      suite();
    });
  }
}
