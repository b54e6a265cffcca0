// SPDX-License-Identifier: Apache-2.0
import type { Target } from '../../common/event.js';
import { shortId } from '../../common/ids.js';
import type { Labels } from '../../common/names.js';
import { DEFAULT_DOMAIN, type NetworkForward, type NetworkKind } from '../../common/network.js';

export const NETWORK_STATES = ['pending', 'ready', 'failed'] as const;
export type NetworkState = (typeof NETWORK_STATES)[number];

/** Name of the network every installation has. */
export const DEFAULT_NETWORK = 'default';

/** Addresses of a network. */
export interface Ipv4 {
  subnet: string;
  gateway: string;
  /** `<first>-<last>` that machines get. */
  dhcpRange: string;
}

/** What can be changed of a network. */
export interface NetworkSettings {
  /** Of its links, and of the machines that ask by DHCP; absent: 1500, and nobody is told. */
  mtu?: number;
  /** Of the names of its machines. */
  domain: string;
  /** Whether its machines are kept from each other. */
  isolateMachines: boolean;
  /** Whether they may send from their own addresses alone. */
  antiSpoofing: boolean;
  labels: Labels;
}

/** A network of machines, with DHCP and DNS. It is on the host while machines use it. */
export interface Network extends NetworkSettings {
  id: string;
  name: string;
  kind: NetworkKind;
  /** Absent of the kind `bridge`: whatever is there. */
  ipv4?: Ipv4;
  /** Name of its bridge, but of the kind `bridge`. */
  bridge: string;
  /** Of the kind `bridge`: the bridge of the host. */
  hostBridge?: string;
  state: NetworkState;
  /** Grows with each change of what was asked for; the ETag. */
  generation: number;
  createdAt: string;
  updatedAt: string;
}

/** What a network is to be. */
export type NetworkWish = Pick<Network, 'name' | 'kind'> & Partial<NetworkSettings>;

/** A network that nothing is known of but this. */
export function newNetwork(
  id: string,
  { name, kind, mtu, domain, isolateMachines, antiSpoofing, labels }: NetworkWish,
  place: Pick<Network, 'ipv4' | 'hostBridge'>,
): Network {
  const now = new Date().toISOString();
  return {
    id,
    name,
    kind,
    ...place,
    bridge: `flo-${shortId(id)}`,
    ...(mtu === undefined ? {} : { mtu }),
    domain: domain ?? DEFAULT_DOMAIN,
    isolateMachines: isolateMachines ?? false,
    antiSpoofing: antiSpoofing ?? false,
    labels: labels ?? {},
    state: 'pending',
    generation: 1,
    createdAt: now,
    updatedAt: now,
  };
}

export function networkTarget({ id, name }: Pick<Network, 'id' | 'name'>): Target {
  return { kind: 'network', id, name };
}

/** An address that belongs to an interface of a machine. */
export interface Address {
  network: string;
  /** Empty where addresses are not ours to give. */
  ip: string;
  mac: string;
  machine: string;
  interface: string;
}

/** A port of the host that leads to an interface of a machine. */
export interface Forward {
  id: string;
  network: string;
  machine: string;
  interface: string;
  protocol: NetworkForward['protocol'];
  hostAddress?: string;
  hostPort: number;
  guestPort: number;
  createdAt: string;
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
