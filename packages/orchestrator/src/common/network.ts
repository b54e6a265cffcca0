// SPDX-License-Identifier: Apache-2.0
// Networks: what there is of them. One form from the API to the drivers.

/**
 * `nat`: machines reach the outside under the address of the host, and nobody outside reaches them. `isolated`: they reach each other, DHCP and
 * DNS, and nothing else. `routed`: packets pass both ways with the addresses that they have.
 */
export const OWN_KINDS = ['nat', 'isolated', 'routed'] as const;
/** Kinds of networks that are ours. */
export type OwnKind = (typeof OWN_KINDS)[number];
/** `bridge`: they are on a bridge that the host has, with whatever is there. */
export const NETWORK_KINDS = [...OWN_KINDS, 'bridge'] as const;
export type NetworkKind = (typeof NETWORK_KINDS)[number];

/** The most forwards of a network. */
export const MAX_NETWORK_FORWARDS = 256;

/** A port of the host that leads to a machine on a network. */
export interface NetworkForward {
  protocol: 'tcp' | 'udp';
  /** Absent: every IPv4 address of the host but its loopback. */
  hostAddress?: string;
  hostPort: number;
  /** Of the machine. */
  address: string;
  guestPort: number;
}

/** Domain of the machines of a network that names none. */
export const DEFAULT_DOMAIN = 'flotilla.internal';
/** Labels of DNS in lower case, so long that the name of a machine fits before them. */
export const DOMAIN_PATTERN = /^(?=.{1,180}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
/** What every host of IPv4 takes, and the largest frames that are usual. */
export const NETWORK_MTU_RANGE = { min: 576, max: 9216 } as const;
/** Lengths of prefixes: room for a host and a machine at least. */
export const PREFIX_RANGE = { min: 16, max: 30 } as const;
