// SPDX-License-Identifier: Apache-2.0
import type { NetworkForward, OwnKind } from '../common/network.js';

export interface Reservation {
  mac: string;
  ip: string;
  hostname: string;
  /** Whose it is; without these nobody may send from that address where spoofing is looked for. */
  machineId?: string;
  interface?: string;
}
export interface EnsureNetworkCommand {
  id: string;
  name: string;
  kind: OwnKind;
  /** Of the names of its machines. */
  domain: string;
  /** Of its links; absent: what the kernel gives them. */
  mtu?: number;
  subnet: string;
  gateway: string;
  dhcpRange: string;
  bridge: string;
  reservations: Reservation[];
  forwards?: NetworkForward[];
  /** Whether its machines are kept from each other. */
  isolateMachines?: boolean;
  /** Whether they may send from the addresses that are reserved for them alone. */
  antiSpoofing?: boolean;
}
/** A port of the host that somebody wants. */
export type PortCommand = Pick<NetworkForward, 'protocol' | 'hostAddress' | 'hostPort'>;
/** A network that is a bridge of the host: nothing of it is ours but who is on it. */
export interface EnsureBridgeCommand {
  id: string;
  name: string;
  kind: 'bridge';
  hostBridge: string;
}

/** An address that the guest of a machine has really taken by DHCP; `expiresAt` moves on with each renewal. */
export interface HostLease {
  networkId: string;
  machineId: string;
  mac: string;
  ip: string;
  hostname?: string;
  expiresAt: string;
}
