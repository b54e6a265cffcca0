// SPDX-License-Identifier: Apache-2.0
import { MAX_STATISTICS_SECONDS } from '../../../common/balloon.js';
import { BoolField, IntField, ObjectField } from '../../../common/dto/fields.js';

const MAX_TARGET_MIB = 64 * 1024 * 1024;
const TARGET = { min: 0, max: MAX_TARGET_MIB, codes: { low: 'spec.balloon_invalid', high: 'spec.balloon_invalid' } } as const;

/** Memory that the guest is asked to give up. A wish, no limit: a guest that does not follow keeps its memory. */
export class BalloonSpecDto {
  @IntField({
    description: 'What the guest shall give up, in MiB; it keeps 16 MiB at least.',
    optional: true,
    default: 0,
    ...TARGET,
  })
  targetMiB?: number;
  @BoolField({
    description: 'Whether the guest may take memory back by itself before it ends programs for want of it.',
    optional: true,
    default: true,
  })
  deflateOnOom?: boolean;
  @BoolField({
    description: 'Whether the guest also gives up, unasked, what nothing in it uses. Not with `prefault`.',
    optional: true,
    default: false,
  })
  freePageReporting?: boolean;
  @BoolField({
    description: 'Whether the guest also says, when it is asked (`POST .../balloon/reclaim`), what nothing in it uses.',
    optional: true,
    default: false,
  })
  freePageHinting?: boolean;
  @IntField({
    description: 'Seconds between two times that the guest is asked how it is off for memory. 0: only when somebody wants to know.',
    optional: true,
    min: 0,
    max: MAX_STATISTICS_SECONDS,
    default: 0,
  })
  statisticsSeconds?: number;
}

/** Body of `PATCH /v1/machines/{machine}/balloon`. */
export class UpdateBalloon {
  @IntField({ description: 'What the guest shall give up, in MiB; it keeps 16 MiB at least. A guest that runs hears of it.', ...TARGET })
  targetMiB: number;
}

/** What a guest gave back when it was asked for all that nothing in it uses. */
export class ReclaimedMemory {
  @IntField({ description: 'Bytes that the host has back.' }) releasedBytes: number;
  @BoolField({
    description: 'Whether the guest said that there is no more. Otherwise it did not answer, or was not done, within 4 seconds.',
  })
  complete: boolean;
}

/** What a guest says of its memory. What it does not tell is absent; what it tells is not checked. */
export class BalloonStatisticsDto {
  @IntField({ description: 'Milliseconds since the guest told this.' }) ageMilliseconds: number;
  @IntField({ description: 'Bytes that nothing uses.', optional: true }) freeBytes?: number;
  @IntField({ description: 'Bytes that programs can have without swapping.', optional: true }) availableBytes?: number;
  @IntField({ description: 'Bytes there are; without `deflateOnOom` less those given up.', optional: true }) totalBytes?: number;
  @IntField({ description: 'Bytes of files kept in memory.', optional: true }) diskCacheBytes?: number;
  @IntField({ description: 'Bytes swapped in since the guest started.', optional: true }) swapInBytes?: number;
  @IntField({ description: 'Bytes swapped out since the guest started.', optional: true }) swapOutBytes?: number;
  @IntField({ description: 'Page faults that waited for a disk, since the guest started.', optional: true }) majorFaults?: number;
  @IntField({ description: 'Page faults that did not, since the guest started.', optional: true }) minorFaults?: number;
  @IntField({ description: 'Huge pages taken from the pool of the guest, since it started.', optional: true }) hugetlbAllocations?: number;
  @IntField({ description: 'Huge pages the pool of the guest did not have, since it started.', optional: true }) hugetlbFailures?: number;
}

/** The balloon of a machine that runs or is paused. */
export class BalloonDto {
  @IntField({ description: 'Bytes that the guest shall give up.' }) targetBytes: number;
  @IntField({ description: 'Bytes that it has given up, as it says.' }) actualBytes: number;
  @ObjectField(() => BalloonStatisticsDto, { description: 'How it says it is off for memory, once it has.', optional: true })
  statistics?: BalloonStatisticsDto;
}
