// SPDX-License-Identifier: Apache-2.0
import { EnumField, IntField, NameField, ObjectField } from '../../../common/dto/fields.js';
import { MAX_RATE, THROTTLE_KINDS, type ThrottleKind } from '../../../common/throttle.js';

const UNITS = { min: 1, max: MAX_RATE, code: 'spec.throttle_invalid' } as const;

/** How much may flow. */
export class RateDto {
  @IntField({ description: 'Units in a second.', ...UNITS }) perSecond: number;
  @IntField({
    description: 'Units that may come at once after a rest. Absent: what flows in a tenth of a second. Least: what flows in a fiftieth.',
    optional: true,
    ...UNITS,
  })
  burst?: number;
}

/** Limits. What is absent is not limited. */
export class LimitsDto {
  @ObjectField(() => RateDto, { description: 'Bytes.', optional: true }) bytes?: RateDto;
  @ObjectField(() => RateDto, {
    description: 'Operations, whatever their size: requests to a disk, frames of an interface.',
    optional: true,
  })
  operations?: RateDto;
}

/** The limits of a device: its own, or those of a group that it shares with others. */
export class ThrottleDto extends LimitsDto {
  @NameField({ description: 'One of the `throttleGroups` of the machine; then there are no other limits.', optional: true }) group?: string;
}

/** Limits for several devices together. */
export class ThrottleGroupDto {
  @NameField({ description: 'Name of the group within the machine.' }) name: string;
  @ObjectField(() => LimitsDto, { description: 'What all its devices may do together.' }) limits: LimitsDto;
}

/** Body of `PATCH /v1/machines/{machine}/throttle`. */
export class UpdateThrottle {
  @EnumField({
    description: 'Whose limits: a disk, what an interface receives or transmits, the random number generator, or a group.',
    values: THROTTLE_KINDS,
  })
  kind: ThrottleKind;
  @NameField({ description: 'Name of the disk, interface or group. Absent with `rng`.', optional: true }) name?: string;
  @ObjectField(() => LimitsDto, { description: 'All limits: those that are absent end.' }) limits: LimitsDto;
}
