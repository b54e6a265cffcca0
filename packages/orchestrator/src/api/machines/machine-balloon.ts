// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import { balloonLimitMiB, type BalloonSettings } from '../../common/balloon.js';
import type { MemoryOptions } from '../../common/hardware.js';

interface Asked {
  memoryMiB: number;
  memoryOptions?: MemoryOptions;
  balloon?: Partial<BalloonSettings>;
}

/** The balloon asked for, all defaults filled in. What cannot be is refused with the field at fault. */
export function planBalloon({ memoryMiB, memoryOptions = {}, balloon }: Asked): { balloon?: BalloonSettings } {
  if (balloon === undefined) return {};
  const { targetMiB = 0, deflateOnOom = true, freePageReporting = false, freePageHinting = false, statisticsSeconds = 0 } = balloon;
  checkTarget(memoryMiB, targetMiB, 'balloon.targetMiB');
  if (memoryOptions.lock === true)
    throw conflict('balloon', 'Locked memory stays with the machine.', 'Leave balloon or memoryOptions.lock out.');
  if (memoryOptions.backing?.startsWith('hugetlb') === true)
    throw conflict('balloon', 'Pages of the pool are reserved for the machine.', 'Leave balloon out, or use another backing.');
  if (memoryOptions.prefault === true && freePageReporting)
    throw conflict(
      'balloon.freePageReporting',
      'Memory that is committed in advance would go back at once.',
      'Leave freePageReporting or memoryOptions.prefault out.',
    );
  return { balloon: { targetMiB, deflateOnOom, freePageReporting, freePageHinting, statisticsSeconds } };
}

/** Refuses a target that leaves a machine less than the least there is. */
export function checkTarget(memoryMiB: number, targetMiB: number, field: string): void {
  const limit = balloonLimitMiB(memoryMiB);
  if (targetMiB <= limit) return;
  throw new ApiError('spec.balloon_invalid', {
    detail: `A balloon of ${targetMiB} MiB leaves too little of ${memoryMiB} MiB.`,
    remedy: `Give at most ${limit}.`,
    field,
  });
}

function conflict(field: string, detail: string, remedy: string): ApiError {
  return new ApiError('spec.memory_conflict', { detail, remedy, field });
}
