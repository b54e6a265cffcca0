// SPDX-License-Identifier: Apache-2.0
// Which addresses a network has.
import {
  chooseSubnet,
  formatIpv4,
  isPrivate,
  isUnicast,
  overlaps,
  parseIpv4,
  parseNetwork,
  parseSubnet,
  type Subnet,
} from '../../common/ipv4.js';
import type { OwnKind } from '../../common/network.js';
import type { DefineNetworkIpv4 } from './dto/network-requests.dto.js';
import { AddressInvalid, NoFreeSubnet, SubnetInvalid, SubnetOverlaps } from './network.errors.js';
import type { Ipv4, Network } from './network.js';

/** What is taken already. */
export interface Taken {
  networks: readonly Pick<Network, 'name' | 'ipv4'>[];
  /** Destinations of routes of the host. */
  routes: readonly string[];
}

/** The addresses of a new network; refuses what is not usable, and what clashes with others. */
export function planAddresses(kind: OwnKind, { subnet: wanted, gateway, dhcpRange }: DefineNetworkIpv4, taken: Taken): Ipv4 {
  const subnet = wanted ?? chooseSubnet([...taken.routes, ...taken.networks.flatMap(({ ipv4 }) => ipv4?.subnet ?? [])]);
  if (subnet === undefined) throw new NoFreeSubnet();
  const numbers = checkSubnet(kind, subnet);
  if (wanted !== undefined) refuseOverlap(subnet, numbers, taken);
  const host = gateway === undefined ? numbers.first + 1 : hostIn(numbers, gateway, 'gateway');
  return {
    subnet,
    gateway: formatIpv4(host),
    dhcpRange: dhcpRange === undefined ? wholeRange(numbers, host) : checkRange(numbers, dhcpRange, host),
  };
}

/** The first and the last address of a range. */
export function rangeOf(range: string): [number, number] {
  const [first = 0, last = -1] = range.split('-').map((text) => parseIpv4(text) ?? 0);
  return [first, last];
}

/** The number of an address that a machine may have on a network. */
export function addressIn({ name, ipv4 }: Pick<Network, 'name' | 'ipv4'>, text: string, field: string): number {
  const subnet = ipv4 === undefined ? undefined : parseNetwork(ipv4.subnet);
  if (ipv4 === undefined || subnet === undefined) {
    throw new AddressInvalid(`Addresses on network "${name}" are not ours to give.`, 'Leave address out, and set it in the guest.', field);
  }
  const number = parseIpv4(text);
  const { first, size } = subnet;
  if (number !== undefined && number > first && number < first + size - 1 && number !== parseIpv4(ipv4.gateway)) return number;
  throw new AddressInvalid(
    `${text} is not an address that a machine can have on network "${name}" (${ipv4.subnet}, gateway ${ipv4.gateway}).`,
    `Give one from ${formatIpv4(first + 1)} to ${formatIpv4(first + size - 2)}, but not the gateway's.`,
    field,
  );
}

function checkSubnet(kind: OwnKind, text: string): Subnet {
  const subnet = parseNetwork(text);
  if (subnet === undefined) {
    throw new SubnetInvalid(
      `"${text}" is no subnet with a prefix of 16 to 30 bits that is given by its first address.`,
      'Give a subnet such as 10.90.0.0/24.',
      'subnet',
    );
  }
  if (kind !== 'routed' && !isPrivate(subnet)) {
    throw new SubnetInvalid(
      `${text} is not private: machines of a network of the kind ${kind} would take the place of others' addresses.`,
      'Give a subnet of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16.',
      'subnet',
    );
  }
  if (!isUnicast(subnet))
    throw new SubnetInvalid(`No machine can have an address of ${text}.`, 'Give a subnet of unicast addresses.', 'subnet');
  return subnet;
}

function refuseOverlap(text: string, subnet: Subnet, { networks, routes }: Taken): void {
  const clashes = (other: string): boolean => {
    const numbers = parseSubnet(other);
    return numbers !== undefined && numbers.prefix > 0 && overlaps(numbers, subnet);
  };
  const network = networks.find(({ ipv4 }) => ipv4 !== undefined && clashes(ipv4.subnet));
  if (network !== undefined) throw new SubnetOverlaps(text, `network "${network.name}" (${network.ipv4?.subnet})`);
  const route = routes.find(clashes);
  if (route !== undefined) throw new SubnetOverlaps(text, `the route of the host to ${route}`);
}

/** An address that a host of the subnet can have. */
function hostIn({ first, size }: Subnet, text: string, field: string): number {
  const number = parseIpv4(text);
  if (number !== undefined && number > first && number < first + size - 1) return number;
  throw new SubnetInvalid(
    `${text} is not an address of a host in the subnet.`,
    `Give one from ${formatIpv4(first + 1)} to ${formatIpv4(first + size - 2)}.`,
    field,
  );
}

function wholeRange({ first, size }: Subnet, host: number): string {
  const [low, high] = [first + 1, first + size - 2];
  return `${formatIpv4(host === low ? low + 1 : low)}-${formatIpv4(host === high ? high - 1 : high)}`;
}

function checkRange(subnet: Subnet, text: string, host: number): string {
  const [low, high] = text.split('-').map((one) => hostIn(subnet, one, 'dhcpRange'));
  if (low === undefined || high === undefined || low > high || (low === high && low === host)) {
    throw new SubnetInvalid(
      `The range ${text} has no address for a machine.`,
      'Give FIRST-LAST, for example 10.90.0.100-10.90.0.199.',
      'dhcpRange',
    );
  }
  return `${formatIpv4(low)}-${formatIpv4(high)}`;
}
