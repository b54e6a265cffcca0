// SPDX-License-Identifier: Apache-2.0
import { shortId } from '../../../common/ids.js';
import type { OwnKind } from '../../../common/network.js';
import type { EnsureNetworkCommand } from '../../../host-agent/host-agent.js';

/** Name of the table of a network: no other network, now or later, has it. The one that every installation has is there once. */
export function tableName({ id, name }: { id: string; name: string }): string {
  return `flotilla-${name === 'default' ? name : shortId(id)}`;
}

/** What says in a listing that a table is that of a network. */
export function tableComment({ id }: { id: string }): string {
  return `comment "flotilla ${id}"`;
}

/** What machines reach of the host. */
const INPUT: Readonly<Record<OwnKind, (network: EnsureNetworkCommand) => readonly string[]>> = {
  nat: () => OPEN_SERVICES,
  routed: () => OPEN_SERVICES,
  // Another DNS server of the host would be a way out.
  isolated: ({ gateway }) => ['udp dport 67 accept', `ip daddr ${gateway} udp dport 53 accept`, `ip daddr ${gateway} tcp dport 53 accept`],
};
const OPEN_SERVICES = ['udp dport { 53, 67 } accept', 'tcp dport 53 accept', 'icmp type echo-request accept'];

/** What passes from machines to others and back. */
const FORWARD: Readonly<Record<OwnKind, (network: EnsureNetworkCommand) => readonly string[]>> = {
  nat: (network) => [
    ...outward(network),
    `oifname "${network.bridge}" ct state established,related accept`,
    ...(network.forwards ?? []).map(
      ({ protocol, address, guestPort }) =>
        `oifname "${network.bridge}" ip daddr ${address} ${protocol} dport ${guestPort} ct status dnat accept`,
    ),
    `oifname "${network.bridge}" counter drop`,
  ],
  routed: (network) => [...outward(network), `oifname "${network.bridge}" meta nfproto ipv6 counter drop`],
  isolated: ({ bridge }) => [`iifname "${bridge}" counter drop`, `oifname "${bridge}" counter drop`],
};

/**
 * The whole table of a network, for `nft -f -`: add, delete and define in one transaction, so there is no moment without rules.
 * Machines reach DHCP, DNS and, unless they are isolated, ping on the host and nothing else of it. To the outside those of the kind `nat`
 * go by masquerade, and nobody outside reaches them; those of the kind `routed` have their own addresses there. Closed to both are
 * link-local addresses (metadata services of the host's own cloud), and the outside by IPv6: no rule here hides their addresses
 * there or checks them.
 */
export function ruleset(network: EnsureNetworkCommand): string {
  const { bridge, kind, isolateMachines = false } = network;
  const table = `inet ${tableName(network)}`;
  return `table ${table}
delete table ${table}
table ${table} {
  ${tableComment(network)}
  chain input {
    type filter hook input priority filter; policy accept;
    iifname != "${bridge}" accept
    ct state established,related accept
    ${INPUT[kind](network).join('\n    ')}
    counter drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "${bridge}" oifname "${bridge}" ${isolateMachines ? 'counter drop' : 'accept'}
    ${FORWARD[kind](network).join('\n    ')}
  }
${kind === 'nat' ? masquerade(network) + forwarding(network) : ''}}
`;
}

function outward({ bridge, subnet }: EnsureNetworkCommand): readonly string[] {
  return [
    `iifname "${bridge}" meta nfproto ipv6 counter drop`,
    `iifname "${bridge}" ip saddr != ${subnet} counter drop`,
    `iifname "${bridge}" ip daddr 169.254.0.0/16 counter drop`,
    `iifname "${bridge}" accept`,
  ];
}

/** Ports of the host, for others and for the host itself; its loopback cannot be forwarded to a link. */
function forwarding({ bridge, forwards = [] }: EnsureNetworkCommand): string {
  if (forwards.length === 0) return '';
  const rules = forwards.map(
    ({ protocol, hostAddress, hostPort, address, guestPort }) =>
      `    ${hostAddress === undefined ? 'fib daddr type local' : `ip daddr ${hostAddress}`} ${protocol} dport ${hostPort} counter dnat ip to ${address}:${guestPort}\n`,
  );
  return `  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iifname "${bridge}" accept
    meta nfproto != ipv4 accept
${rules.join('')}  }
  chain output {
    type nat hook output priority -100; policy accept;
    meta nfproto != ipv4 accept
    ip daddr 127.0.0.0/8 accept
${rules.join('')}  }
`;
}

function masquerade({ subnet }: EnsureNetworkCommand): string {
  return `  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${subnet} ip daddr != ${subnet} counter masquerade
  }
`;
}
