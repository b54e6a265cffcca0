// SPDX-License-Identifier: Apache-2.0
import { type LookupAddress, lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { refused } from './download-errors.js';

/** Where a download may lead. */
export interface Reach {
  /** Hosts that the administrator has named, and no others; none: any host, by what its address is. */
  hosts: readonly string[];
  /** Whether it may lead to addresses of this host and of the networks around it: an administrator asked. */
  inside: boolean;
}

/**
 * Addresses that say nothing about who answers there beyond the network around this host: IANA's special-purpose registries
 * (RFC 6890), with the NAT64 and 6to4 prefixes, behind which any IPv4 address can stand.
 */
const INSIDE = subnets(
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
);
/** What nobody is to reach this way: links, where clouds hand out credentials (169.254.169.254), groups, and no address at all. */
const NEVER = subnets(['0.0.0.0', 8], ['169.254.0.0', 16], ['224.0.0.0', 3]);
const NEVER_6 = subnets(['fe80::', 10], ['ff00::', 8], ['fd00:ec2::', 32]);
const UNSPECIFIED = '::';
/** Global unicast (RFC 4291), of which the parts below lead elsewhere. */
const GLOBAL_6 = subnets(['2000::', 3]);
const NOT_GLOBAL_6 = subnets(['2001::', 23], ['2001:db8::', 32], ['2002::', 16]);

export type Place = 'outside' | 'inside' | 'never';

/** What an address leads to; an IPv4 address inside an IPv6 one counts as itself. */
export function placeOf(address: string): Place {
  const family = isIP(address);
  if (family === 4) return NEVER.check(address, 'ipv4') ? 'never' : INSIDE.check(address, 'ipv4') ? 'inside' : 'outside';
  if (family !== 6) return 'never';
  const mapped = mappedIpv4(address);
  if (mapped !== undefined) return placeOf(mapped);
  if (address === UNSPECIFIED || address.includes('%') || NEVER_6.check(address, 'ipv6')) return 'never';
  return GLOBAL_6.check(address, 'ipv6') && !NOT_GLOBAL_6.check(address, 'ipv6') ? 'outside' : 'inside';
}

/** Whether a host may be asked at an address. */
export function mayReach(host: string, address: string, reach: Reach): boolean {
  if (reach.hosts.length > 0) return isListed(host, reach.hosts);
  const place = placeOf(address);
  return place === 'outside' || (place === 'inside' && reach.inside);
}

/** Refuses a host by its name, before anybody is asked where it is. */
export function requireHost(host: string, reach: Reach): void {
  if (reach.hosts.length > 0 && !isListed(host, reach.hosts)) throw refused(host, reach);
  if (isIP(host) !== 0 && !mayReach(host, host, reach)) throw refused(host, reach);
}

/**
 * Looks a name up and leaves out what may not be reached. It is the lookup of the connection itself: what is checked is what is connected to,
 * whatever the name leads to a moment later.
 */
export function lookupWithin(host: string, reach: Reach): LookupFunction {
  return (name, options, done) => {
    lookup(name, { ...options, all: true }, (error, found) => {
      if (error !== null) return void done(error, '', 0);
      const allowed = found.filter(({ address }) => mayReach(host, address, reach));
      const [first] = allowed;
      if (first === undefined) return void done(refused(host, reach), '', 0);
      if (options.all === true) return void done(null, allowed as unknown as string & LookupAddress[], 0);
      return void done(null, first.address, first.family);
    });
  };
}

/** `*.example.org` stands for every name below it. */
function isListed(host: string, hosts: readonly string[]): boolean {
  const name = host.toLowerCase();
  return hosts.some((one) => (one.startsWith('*.') ? name.endsWith(one.slice(1)) : name === one));
}

/** `::ffff:127.0.0.1`, in whichever way it is written. */
function mappedIpv4(address: string): string | undefined {
  const normal = new URL(`http://[${address.split('%')[0] ?? ''}]`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(normal) ?? [];
  if (high === undefined || low === undefined) return undefined;
  const [upper, lower] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [upper >> 8, upper & 0xff, lower >> 8, lower & 0xff].join('.');
}

function subnets(...all: [address: string, bits: number][]): BlockList {
  const list = new BlockList();
  for (const [address, bits] of all) list.addSubnet(address, bits, address.includes(':') ? 'ipv6' : 'ipv4');
  return list;
}
