// SPDX-License-Identifier: Apache-2.0
/** The most units of a rate: what a JSON number holds exactly. */
export const MAX_RATE = Number.MAX_SAFE_INTEGER;
/** The most groups of a machine. */
export const MAX_THROTTLE_GROUPS = 32;
/** Whose limits can be changed: those of a device that has its own, or of a group. */
export const THROTTLE_KINDS = ['disk', 'receive', 'transmit', 'rng', 'group'] as const;
export type ThrottleKind = (typeof THROTTLE_KINDS)[number];

/** Units in a second, and how many may come at once after a rest. */
export interface Rate {
  perSecond: number;
  burst?: number;
}
/** What is absent is not limited. */
export interface Limits {
  bytes?: Rate;
  operations?: Rate;
}
/** Limits of its own, or those of a group. */
export interface Throttle extends Limits {
  group?: string;
}
export interface ThrottleGroup {
  name: string;
  limits: Limits;
}
/** What of it is not said at a disk or an interface. */
export interface Throttling {
  rngThrottle?: Throttle;
  throttleGroups?: ThrottleGroup[];
}

/** Only these fields, and of them those that are there. */
export function throttlingOf({ rngThrottle, throttleGroups }: Throttling): Throttling {
  return {
    ...(rngThrottle === undefined ? {} : { rngThrottle }),
    ...(throttleGroups === undefined ? {} : { throttleGroups }),
  };
}

/** These limits and nothing else. */
export function limitsOf({ bytes, operations }: Limits): Limits {
  return {
    ...(bytes === undefined ? {} : { bytes: rateOf(bytes) }),
    ...(operations === undefined ? {} : { operations: rateOf(operations) }),
  };
}

/** The same with the group. */
export function throttleOf({ group, ...limits }: Throttle): Throttle {
  return { ...limitsOf(limits), ...(group === undefined ? {} : { group }) };
}

function rateOf({ perSecond, burst }: Rate): Rate {
  return { perSecond, ...(burst === undefined ? {} : { burst }) };
}

/** A machine as far as limits go. */
interface Limited extends Throttling {
  disks: { name: string; attach?: string; throttle?: Throttle }[];
  interfaces: { name: string; backend?: string; receiveThrottle?: Throttle; transmitThrottle?: Throttle }[];
  rng: boolean;
}

/** What has these limits: a device with limits of its own, or a group; undefined when nothing has. The name is empty with `rng`. */
export function holderOfLimits(machine: Limited, kind: ThrottleKind, name: string): { set(limits: Limits): void } | undefined {
  if (kind === 'group') return holder(named(machine.throttleGroups ?? [], name), 'limits');
  // A disk that is memory has no requests. One that was given limits would not start any more.
  const disks = machine.disks.filter((disk) => disk.attach !== 'pmem');
  if (kind === 'disk') return holder(named(disks, name), 'throttle');
  if (kind === 'rng') return machine.rng && name === '' ? holder(machine, 'rngThrottle') : undefined;
  const links = machine.interfaces.filter((link) => link.backend !== 'vhost');
  return holder(named(links, name), kind === 'receive' ? 'receiveThrottle' : 'transmitThrottle');
}

function named<T extends { name: string }>(all: T[], name: string): T | undefined {
  return all.find((one) => one.name === name);
}

function holder<K extends string>(owner: { [key in K]?: Throttle } | undefined, field: K): { set(limits: Limits): void } | undefined {
  if (owner === undefined || owner[field]?.group !== undefined) return undefined;
  return {
    set: (limits) => {
      owner[field] = limits;
    },
  };
}
