// SPDX-License-Identifier: Apache-2.0
import type { EnsureNetworkCommand } from '../../../host-agent/host-agent.js';

/** Name of the table of a network. */
export function tableName(network: { name: string }): string {
  return `flotilla-${network.name}`;
}

/**
 * The whole table of a network, for `nft -f -`: add, delete and define in one transaction, so there is no moment without rules.
 * Guests reach DHCP, DNS and ping on the host and nothing else of it; they reach the outside by masquerade; nobody outside
 * reaches them. Closed to them are link-local addresses (metadata services of the host's own cloud), and the outside by IPv6:
 * no rule here hides their addresses there or checks them.
 */
export function ruleset(network: EnsureNetworkCommand): string {
  const { bridge, subnet } = network;
  const table = `inet ${tableName(network)}`;
  return `table ${table}
delete table ${table}
table ${table} {
  comment "flotilla ${network.id}"
  chain input {
    type filter hook input priority filter; policy accept;
    iifname != "${bridge}" accept
    ct state established,related accept
    udp dport { 53, 67 } accept
    tcp dport 53 accept
    icmp type echo-request accept
    counter drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname "${bridge}" oifname "${bridge}" accept
    iifname "${bridge}" meta nfproto ipv6 counter drop
    iifname "${bridge}" ip saddr != ${subnet} counter drop
    iifname "${bridge}" ip daddr 169.254.0.0/16 counter drop
    iifname "${bridge}" accept
    oifname "${bridge}" ct state established,related accept
    oifname "${bridge}" counter drop
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${subnet} ip daddr != ${subnet} counter masquerade
  }
}
`;
}
