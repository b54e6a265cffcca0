// SPDX-License-Identifier: Apache-2.0
import { PARENT_PATTERN } from '../common/macvtap.js';
import { MAC_PATTERN, NAME_PATTERN } from '../common/names.js';
import { DOMAIN_PATTERN, MAX_NETWORK_FORWARDS, NETWORK_MTU_RANGE, type NetworkForward, OWN_KINDS } from '../common/network.js';
import { FORWARD_PROTOCOLS, PORT_RANGE } from '../common/user-network.js';
import {
  bool,
  byKind,
  type Check,
  id,
  int,
  ipv4,
  ipv4Range,
  list,
  object,
  oneOf,
  optional,
  outerIpv4,
  privateSubnet,
  text,
  unicastSubnet,
} from './checks.js';
import type { EnsureBridgeCommand, EnsureNetworkCommand, PortCommand, Reservation } from './network-commands.js';

// What the agent takes from the socket about networks: part of command-checks.

const name = text(NAME_PATTERN);
const mac = text(MAC_PATTERN);
/** The links Flotilla makes: no command can name another's. */
export const bridge = text(/^flo-(\d{1,5}|[0-9a-f]{8})$/);
const hostPort = {
  protocol: oneOf(...FORWARD_PROTOCOLS),
  hostAddress: optional(outerIpv4),
  hostPort: int(PORT_RANGE.min, PORT_RANGE.max),
};
const networkIn = (subnet: Check) =>
  object<EnsureNetworkCommand>({
    id: id('net'),
    name,
    kind: oneOf(...OWN_KINDS),
    domain: text(DOMAIN_PATTERN),
    mtu: optional(int(NETWORK_MTU_RANGE.min, NETWORK_MTU_RANGE.max)),
    subnet,
    gateway: ipv4,
    dhcpRange: ipv4Range,
    bridge,
    reservations: list(
      65_536,
      object<Reservation>({ mac, ip: ipv4, hostname: name, machineId: optional(id('mac')), interface: optional(name) }),
    ),
    isolateMachines: optional(bool),
    antiSpoofing: optional(bool),
    forwards: optional(
      list(MAX_NETWORK_FORWARDS, object<NetworkForward>({ ...hostPort, address: ipv4, guestPort: int(PORT_RANGE.min, PORT_RANGE.max) })),
    ),
  });

export const requireFreePort = object<PortCommand>(hostPort);
export const ensureNetwork = byKind({
  nat: networkIn(privateSubnet),
  isolated: networkIn(privateSubnet),
  routed: networkIn(unicastSubnet),
  bridge: object<EnsureBridgeCommand>({ id: id('net'), name, kind: oneOf('bridge'), hostBridge: text(PARENT_PATTERN) }),
});
