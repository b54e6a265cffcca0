// SPDX-License-Identifier: Apache-2.0
// The network that the probes make, with one guest.

/** The guest's address on the link. */
export const MAC = '02:f1:00:00:00:01';

export const command = {
  id: 'net-probe',
  name: 'default',
  kind: 'nat' as const,
  domain: 'flotilla.internal',
  subnet: '10.77.0.0/24',
  gateway: '10.77.0.1',
  dhcpRange: '10.77.0.2-10.77.0.254',
  bridge: 'flo-0',
  reservations: [{ mac: MAC, ip: '10.77.0.2', hostname: 'one' }],
};
