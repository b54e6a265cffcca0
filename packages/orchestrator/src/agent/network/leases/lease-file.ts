// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { MAC_PATTERN } from '../../../common/names.js';
import { parseIpv4 } from '../../../common/ipv4.js';

/** An address that a guest has asked for and been given. */
export interface TakenLease {
  mac: string;
  ip: string;
  /** Name that the guest gave itself, when it gave one. */
  hostname?: string;
  /** When it ends unless the guest renews it, in milliseconds since 1970. */
  expiresAt: number;
}

const HOSTNAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,252})$/;
/** Leases without an end are shown to end then. */
const NEVER = Date.UTC(9999, 0, 1);

/** Leases in a file that have not ended; none when there is no file. */
export async function readLeases(file: string): Promise<TakenLease[]> {
  return parseLeases(await readFile(file, 'utf8').catch(() => ''));
}

/**
 * Reads dnsmasq's lease file: `<end in seconds> <mac> <ip> <name or *> <client id or *>` on each line. Guests choose names and
 * client ids, so every field is checked and a line that is not whole is passed over.
 */
export function parseLeases(text: string, now: number = Date.now()): TakenLease[] {
  return text
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => {
      const [end = '', mac = '', ip = '', hostname = '*'] = line.split(' ');
      if (!/^\d{1,12}$/.test(end) || !MAC_PATTERN.test(mac) || parseIpv4(ip) === undefined) return [];
      const expiresAt = end === '0' ? NEVER : Number(end) * 1000;
      if (expiresAt <= now) return [];
      return [{ mac: mac.toLowerCase(), ip, expiresAt, ...(HOSTNAME.test(hostname) ? { hostname } : {}) }];
    });
}
