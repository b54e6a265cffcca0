// SPDX-License-Identifier: Apache-2.0
export const NETWORK_STATES = ['pending', 'ready', 'failed'] as const;
export type NetworkState = (typeof NETWORK_STATES)[number];

/** An IPv4 network with DHCP, DNS and NAT to the outside. */
export interface Network {
  id: string;
  name: string;
  kind: 'nat';
  ipv4: { subnet: string; gateway: string; dhcpRange: string };
  bridge: string;
  state: NetworkState;
  createdAt: string;
}

/** An address that belongs to an interface of a machine. */
export interface Address {
  network: string;
  ip: string;
  mac: string;
  machine: string;
  interface: string;
}

/** Whether an address is only kept for a machine, or its guest has asked for it. */
export const LEASE_STATES = ['reserved', 'taken'] as const;

/** An address as clients see it on the network. */
export interface Lease {
  mac: string;
  ip: string;
  hostname?: string;
  machine?: string;
  state: (typeof LEASE_STATES)[number];
  expiresAt?: string;
}
