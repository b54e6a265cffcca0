// SPDX-License-Identifier: Apache-2.0
// What a machine's CPUs and memory are like beyond their number and size. One form from the API to the host agent.

export const CPU_MODELS = ['host', 'x86-64-v2', 'x86-64-v3'] as const;
export const MEMORY_BACKINGS = ['anonymous', 'memfd', 'hugetlb-2M', 'hugetlb-1G'] as const;
export const TRANSPARENT_HUGEPAGES = ['default', 'always', 'never'] as const;

export const MAX_CPUS = 64;
export const MAX_NUMA_NODES = 16;
/** The first number that cannot be a CPU or node of a host. */
export const HOST_NUMBERS = 1024;
/** Features in a list: more than there are. */
export const MAX_FEATURES = 256;
export const FEATURE_PATTERN = /^[a-z0-9_]{1,40}$/;

export interface CpuTopology {
  sockets?: number;
  cores?: number;
  threads?: number;
}
export interface CpuPinning {
  /** For each virtual CPU the host's CPUs; an empty list means any. */
  vcpus?: number[][];
  io?: number[];
}
export interface CpuOptions {
  topology?: CpuTopology;
  model?: (typeof CPU_MODELS)[number];
  enable?: string[];
  disable?: string[];
  nested?: boolean;
  pin?: CpuPinning;
}
export interface MemoryOptions {
  backing?: (typeof MEMORY_BACKINGS)[number];
  transparentHugepages?: (typeof TRANSPARENT_HUGEPAGES)[number];
  prefault?: boolean;
  lock?: boolean;
  mergeable?: boolean;
}
export interface NumaNode {
  cpus: number[];
  memoryMiB: number;
  hostNodes?: number[];
  distances?: number[];
}

/** Fields of a machine that are there only where something other than the default was asked for. */
export interface Hardware {
  cpu?: CpuOptions;
  memoryOptions?: MemoryOptions;
  numa?: NumaNode[];
}

/** Those fields of a larger object. */
export function hardwareOf({ cpu, memoryOptions, numa }: Hardware): Hardware {
  return {
    ...(cpu === undefined ? {} : { cpu }),
    ...(memoryOptions === undefined ? {} : { memoryOptions }),
    ...(numa === undefined || numa.length === 0 ? {} : { numa }),
  };
}

export function isNumberList(value: unknown, max: number, limit: number): value is number[] {
  return Array.isArray(value) && value.length <= max && value.every((one) => Number.isInteger(one) && one >= 0 && one < limit);
}
