// SPDX-License-Identifier: Apache-2.0
import { type Throttle, throttleOf } from './throttle.js';

/** Who moves the frames of an interface: the worker, or the kernel by vhost-net. */
export const INTERFACE_BACKENDS = ['tap', 'vhost'] as const;
/** Whether the cable of an interface is plugged in. */
export const LINK_STATES = ['up', 'down'] as const;
export type LinkState = (typeof LINK_STATES)[number];
/** The most pairs of queues of an interface. */
export const MAX_INTERFACE_QUEUES = 16;
/** What IPv4 demands of every link, and what fits its length field. */
export const MTU_RANGE = { min: 68, max: 65_535 } as const;

/** How the frames of an interface move. What is absent is as the core has it: tap, one queue, no MTU told, the cable in, spoofing allowed. */
export interface InterfaceTraffic {
  backend?: (typeof INTERFACE_BACKENDS)[number];
  queues?: number;
  mtu?: number;
  link?: LinkState;
  allowSpoofedMac?: boolean;
  receiveThrottle?: Throttle;
  transmitThrottle?: Throttle;
}

/** Only these fields, and of them those that are there. */
export function trafficOf(traffic: InterfaceTraffic): InterfaceTraffic {
  const { backend, queues, mtu, link, allowSpoofedMac, receiveThrottle, transmitThrottle } = traffic;
  return {
    ...(backend === undefined ? {} : { backend }),
    ...(queues === undefined ? {} : { queues }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(link === undefined ? {} : { link }),
    ...(allowSpoofedMac === undefined ? {} : { allowSpoofedMac }),
    ...(receiveThrottle === undefined ? {} : { receiveThrottle: throttleOf(receiveThrottle) }),
    ...(transmitThrottle === undefined ? {} : { transmitThrottle: throttleOf(transmitThrottle) }),
  };
}
