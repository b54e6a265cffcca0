// SPDX-License-Identifier: Apache-2.0
import { EnumField } from '../../../common/dto/fields.js';
import { WATCHDOG_ACTIONS, type WatchdogAction } from '../../../common/watchdog.js';

/** A watchdog that the guest starts, and from then on has to reset in time. */
export class WatchdogSpecDto {
  @EnumField({
    description:
      'What follows when it does not: the machine starts again, ends, stays paused, or goes on. An event `machine.watchdog` tells of it.',
    optional: true,
    values: WATCHDOG_ACTIONS,
    default: 'reset',
  })
  action?: WatchdogAction;
}
