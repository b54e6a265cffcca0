// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import { limitsOf, type Throttle, throttleOf, type ThrottleGroup, type Throttling } from '../../common/throttle.js';
import type { CreateMachine } from './dto/machine-requests.dto.js';

/** Refuses limits that nobody could keep to: those of groups that are none, and of what knows no limits. */
export function planThrottling(body: CreateMachine): Throttling {
  const groups = (body.throttleGroups ?? []).map(({ name, limits }): ThrottleGroup => ({ name, limits: limitsOf(limits) }));
  for (const [index, disk] of (body.disks ?? []).entries()) checkGroup(disk.throttle, groups, `disks[${index}].throttle`);
  for (const [index, link] of (body.interfaces ?? []).entries()) {
    for (const direction of ['receiveThrottle', 'transmitThrottle'] as const) {
      const field = `interfaces[${index}].${direction}`;
      if (link[direction] !== undefined && link.backend === 'vhost') throw new Unsupported('The backend vhost keeps to no limits.', field);
      checkGroup(link[direction], groups, field);
    }
  }
  checkGroup(body.rngThrottle, groups, 'rngThrottle');
  if (body.rngThrottle !== undefined && body.rng === false)
    throw new Unsupported('The machine has no random number generator.', 'rngThrottle');
  return {
    ...(body.rngThrottle === undefined ? {} : { rngThrottle: throttleOf(body.rngThrottle) }),
    ...(groups.length === 0 ? {} : { throttleGroups: groups }),
  };
}

/** Refuses a group that there is not, and limits beside it. */
export function checkGroup(throttle: Throttle | undefined, groups: readonly ThrottleGroup[], field: string): void {
  if (throttle?.group === undefined) return;
  const known = groups.some((group) => group.name === throttle.group);
  if (known && throttle.bytes === undefined && throttle.operations === undefined) return;
  throw new ApiError('spec.throttle_group', {
    detail: known ? 'A device of a group has no limits of its own.' : `The machine has no throttle group "${throttle.group}".`,
    remedy: 'Name one of throttleGroups, and give the device no other limits.',
    field: `${field}.group`,
  });
}

class Unsupported extends ApiError {
  constructor(detail: string, field: string) {
    super('spec.throttle_unsupported', { detail, remedy: 'Leave the limits out, or use the backend tap.', field });
  }
}
