// SPDX-License-Identifier: Apache-2.0
// Memory that a guest is asked to give up. One form from the API to the host agent.

export const MAX_STATISTICS_SECONDS = 86_400;
/** What a balloon must leave to its machine. */
const LEFT_MIB = 16;

export interface BalloonSettings {
  /** What the guest shall give up. */
  targetMiB: number;
  /** Whether the guest may take it back by itself before it ends programs. */
  deflateOnOom: boolean;
  /** Whether the guest gives up unasked what it does not use. */
  freePageReporting: boolean;
  /** Whether it does so when it is asked. */
  freePageHinting?: boolean;
  /** Between two times that the guest is asked how it is off; 0: only when somebody wants to know. */
  statisticsSeconds: number;
}

/** What a guest says of its memory; what it does not tell is absent. Nothing of it is checked. */
export interface BalloonStatistics {
  ageMilliseconds: number;
  freeBytes?: number;
  availableBytes?: number;
  totalBytes?: number;
  diskCacheBytes?: number;
  swapInBytes?: number;
  swapOutBytes?: number;
  majorFaults?: number;
  minorFaults?: number;
  hugetlbAllocations?: number;
  hugetlbFailures?: number;
}

/** A balloon as the host sees it. */
export interface BalloonFacts {
  targetBytes: number;
  /** As the guest says. */
  actualBytes: number;
  statistics?: BalloonStatistics;
}

/** What a guest gave back when it was asked for all that it does not use. */
export interface ReclaimFacts {
  releasedBytes: number;
  /** Whether it said that there is no more. */
  complete: boolean;
}

/** The most that the balloon of a machine can be asked to hold. */
export function balloonLimitMiB(memoryMiB: number): number {
  return memoryMiB - LEFT_MIB;
}
