// SPDX-License-Identifier: Apache-2.0
import { PREFIX_RANGE } from './network.js';

/** An IPv4 subnet in numbers. */
export interface Subnet {
  first: number;
  size: number;
  prefix: number;
}

/** An address as a number; undefined when the text is none. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split('.').map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : Number.NaN));
  if (parts.length !== 4 || parts.some((part) => !(part <= 255))) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

export function formatIpv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

/** A subnet such as 10.77.0.0/24; a plain address is a subnet of one. */
export function parseSubnet(text: string): Subnet | undefined {
  const [address = '', length = '32'] = text.split('/');
  const value = parseIpv4(address);
  const prefix = Number(length);
  if (value === undefined || !Number.isInteger(prefix) || prefix < 0 || prefix > 32) return undefined;
  const size = 2 ** (32 - prefix);
  return { first: value - (value % size), size, prefix };
}

/** Subnets that are nobody's on the Internet. */
const PRIVATE = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];
/** Addresses that no link of ours can have: this host, its loopback, what reaches no further than a link, groups, and what is reserved. */
const NO_UNICAST = ['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'];

/** A subnet with room for machines that is given by its first address. */
export function parseNetwork(text: string): Subnet | undefined {
  const [address = '', length = ''] = text.split('/');
  const subnet = /^\d{1,2}$/.test(length) ? parseSubnet(text) : undefined;
  if (subnet === undefined || subnet.prefix < PREFIX_RANGE.min || subnet.prefix > PREFIX_RANGE.max) return undefined;
  return formatIpv4(subnet.first) === address ? subnet : undefined;
}

export function isPrivate(subnet: Subnet): boolean {
  return subnetsOf(PRIVATE).some((one) => subnet.first >= one.first && subnet.first + subnet.size <= one.first + one.size);
}

export function isUnicast(subnet: Subnet): boolean {
  return !subnetsOf(NO_UNICAST).some((one) => overlaps(one, subnet));
}

/** Whether a text is an address of IPv4 that others than the host itself can reach. */
export function isOuter(text: string): boolean {
  const subnet = parseIpv4(text) === undefined ? undefined : parseSubnet(text);
  return subnet !== undefined && isUnicast(subnet);
}

function subnetsOf(texts: readonly string[]): Subnet[] {
  return texts.map(parseSubnet).filter((subnet) => subnet !== undefined);
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.first < b.first + b.size && b.first < a.first + a.size;
}

/** The first /24 of 10.77.0.0/16 and then of 10.78.0.0/16 … 10.127.0.0/16 that clashes with none of the given ones. */
export function chooseSubnet(used: readonly string[]): string | undefined {
  const taken = used.map(parseSubnet).filter((subnet) => subnet !== undefined && subnet.prefix > 0);
  for (let second = 77; second < 128; second += 1) {
    for (let third = 0; third < 256; third += 1) {
      const text = `10.${second}.${third}.0/24`;
      const candidate = parseSubnet(text);
      if (candidate !== undefined && !taken.some((subnet) => subnet !== undefined && overlaps(subnet, candidate))) return text;
    }
  }
  return undefined;
}
