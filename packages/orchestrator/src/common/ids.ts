// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes } from 'node:crypto';

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** Prefix of the id of each kind of resource. */
export type IdPrefix = 'mac' | 'img' | 'vol' | 'net' | 'fwd' | 'poo' | 'op' | 'key' | 'hos' | 'ins' | 'req';

let lastTime = 0;
let lastRandom = 0n;

/** A new id such as `mac-01k...`: sortable by time, unique, also within one millisecond. */
export function newId(prefix: IdPrefix): string {
  const now = Date.now();
  if (now > lastTime) {
    lastTime = now;
    lastRandom = BigInt(`0x${randomBytes(10).toString('hex')}`) >> 1n;
  } else {
    lastRandom += BigInt(randomBytes(4).readUInt32LE() + 1);
  }
  return `${prefix}-${encode(BigInt(lastTime), 10)}${encode(lastRandom, 16)}`;
}

/** Lower bound of all ids of a kind that are made at a time (milliseconds) or later. */
export function firstIdAt(prefix: IdPrefix, time: number): string {
  return `${prefix}-${encode(BigInt(time), 10)}`;
}

function encode(value: bigint, length: number): string {
  let rest = value;
  let text = '';
  for (let i = 0; i < length; i += 1) {
    text = ALPHABET.charAt(Number(rest & 31n)) + text;
    rest >>= 5n;
  }
  return text;
}

/** Whether a path parameter has the shape of an id of that kind. */
export function isId(prefix: IdPrefix, text: string): boolean {
  return new RegExp(`^${prefix}-[0-9a-z]{26}$`).test(text);
}

/** Eight letters that stand for an id where only 15 bytes are allowed (names of links). */
export function shortId(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 8);
}

/** Deterministic, locally administered, unicast MAC address for an interface of a machine. */
export function macFor(machineId: string, interfaceName: string): string {
  const digest = createHash('sha256').update(`${machineId}/${interfaceName}`).digest();
  return ['02', 'f1', ...[...digest.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}
