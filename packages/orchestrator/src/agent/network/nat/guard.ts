// SPDX-License-Identifier: Apache-2.0
import type { EnsureNetworkCommand, Reservation } from '../../../host-agent/host-agent.js';
import { tapName } from '../tap-name.js';
import { tableComment, tableName } from './ruleset.js';

/** Whether there are rules for frames, and not for packets alone. */
export function isGuarded({ isolateMachines = false, antiSpoofing = false }: EnsureNetworkCommand): boolean {
  return isolateMachines || antiSpoofing;
}

/**
 * The table of a network for the frames on its bridge, for `nft -f -`, replaced as a whole like that for packets. Machines that are kept from
 * each other send to the host alone. Where spoofing is looked for, what comes from a tap bears the MAC address of its interface, and as
 * IPv4 or ARP also the address that is reserved for it; a machine that asks for its address by DHCP, or whether somebody has
 * it, has none yet. IPv6 reaches no further than the link, and nobody there is a router.
 */
export function guardRules(network: EnsureNetworkCommand): string {
  const ports = network.reservations.flatMap(portOf);
  const table = `bridge ${tableName(network)}`;
  return `table ${table}
delete table ${table}
table ${table} {
  ${tableComment(network)}
  set ports {
    type ifname
${elements(ports.map(({ tap }) => tap))}  }
${network.antiSpoofing === true ? spoofing(ports) : ''}${network.isolateMachines === true ? ISOLATION : ''}}
`;
}

/** A tap and what may come from it. */
interface Port {
  tap: string;
  mac: string;
  ip: string;
}

function portOf({ mac, ip, machineId, interface: name }: Reservation): Port[] {
  return machineId === undefined || name === undefined ? [] : [{ tap: `"${tapName(machineId, name)}"`, mac, ip }];
}

const ISOLATION = `  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname @ports oifname @ports counter drop
  }
`;

function spoofing(ports: readonly Port[]): string {
  return `  set links {
    type ifname . ether_addr
${elements(ports.map(({ tap, mac }) => `${tap} . ${mac}`))}  }
  set machines {
    type ifname . ether_addr . ipv4_addr
${elements(ports.map(({ tap, mac, ip }) => `${tap} . ${mac} . ${ip}`))}  }
  chain guard {
    iifname . ether saddr != @links counter drop
    iifname . ether saddr . ip saddr @machines accept
    ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
    iifname . arp saddr ether . arp saddr ip @machines accept
    iifname . arp saddr ether @links arp saddr ip 0.0.0.0 accept
    icmpv6 type nd-router-advert counter drop
    ip6 saddr fe80::/10 accept
    ip6 saddr :: accept
    counter drop
  }
  chain prerouting {
    type filter hook prerouting priority filter; policy accept;
    iifname @ports jump guard
  }
`;
}

function elements(list: readonly string[]): string {
  return list.length === 0 ? '' : `    elements = { ${list.join(', ')} }\n`;
}
