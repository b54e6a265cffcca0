// SPDX-License-Identifier: Apache-2.0
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
