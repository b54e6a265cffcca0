// SPDX-License-Identifier: Apache-2.0
import type { HostLease } from '../../../host-agent/host-agent.js';
import type { TakenLease } from './lease-file.js';
import type { TapNote } from './tap-note.js';

/** How long a lease lasts unless it is renewed. */
export const LEASE_SECONDS = 3600;
/** dnsmasq counts whole seconds. */
const ROUNDING_MILLISECONDS = 1000;

/**
 * Leases of the guests that are connected now. The DHCP server remembers a lease for its whole time; one that was given before
 * the tap was made belongs to a guest that is gone, and the one that runs now has not asked yet.
 */
export function leasesOf(network: string, taken: readonly TakenLease[], taps: readonly (TapNote & { since: number })[]): HostLease[] {
  return taken.flatMap((lease) => {
    const tap = taps.find((one) => one.network === network && one.mac === lease.mac);
    const givenAt = lease.expiresAt - LEASE_SECONDS * 1000;
    if (tap === undefined || givenAt + ROUNDING_MILLISECONDS < tap.since) return [];
    const { mac, ip, hostname } = lease;
    return [
      {
        networkId: network,
        machineId: tap.machine,
        mac,
        ip,
        expiresAt: new Date(lease.expiresAt).toISOString(),
        ...(hostname === undefined ? {} : { hostname }),
      },
    ];
  });
}
