// SPDX-License-Identifier: Apache-2.0
import { isIP } from 'node:net';

/** What a port of the host forwards. */
export const FORWARD_PROTOCOLS = ['tcp', 'udp'] as const;
/** The most forwards of an interface. */
export const MAX_FORWARDS = 64;
export const PORT_RANGE = { min: 1, max: 65_535 } as const;
/** The longest text of an IPv6 address. */
export const MAX_ADDRESS = 45;

/** A port of the host that leads into the guest. */
export interface Forward {
  protocol: (typeof FORWARD_PROTOCOLS)[number];
  /** Absent: the loopback of the host. */
  hostAddress?: string;
  hostPort: number;
  guestPort: number;
}

/** A network without a tap: a passt process on the host that speaks for the guest. */
export interface UserNetwork {
  forwards: Forward[];
}

/** Whether a text is an IPv4 or IPv6 address, without a zone. */
export function isAddress(value: unknown): value is string {
  return typeof value === 'string' && !value.includes('%') && isIP(value) !== 0;
}

/** Only these fields. */
export function userNetworkOf({ forwards = [] }: Partial<UserNetwork>): UserNetwork {
  return {
    forwards: forwards.map(({ protocol, hostAddress, hostPort, guestPort }) => ({
      protocol,
      ...(hostAddress === undefined ? {} : { hostAddress }),
      hostPort,
      guestPort,
    })),
  };
}
