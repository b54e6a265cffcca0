// SPDX-License-Identifier: Apache-2.0
import { BoolField, CustomField, EnumField, IntField, ObjectField } from '../../../common/dto/fields.js';
import {
  CPU_MODELS,
  FEATURE_PATTERN,
  HOST_NUMBERS,
  isNumberList,
  MAX_CPUS,
  MAX_FEATURES,
  MAX_NUMA_NODES,
  MEMORY_BACKINGS,
  TRANSPARENT_HUGEPAGES,
} from '../../../common/hardware.js';

/** A distance as ACPI has it: 255 says that a node cannot be reached. */
const MIN_DISTANCE = 10;
const MAX_DISTANCE = 254;

const numbers = (maxItems: number, limit: number) => ({
  type: 'array',
  maxItems,
  items: { type: 'integer', minimum: 0, maximum: limit - 1 },
});
const features = { type: 'array', maxItems: MAX_FEATURES, items: { type: 'string', pattern: FEATURE_PATTERN.source } };
const areFeatures = (value: unknown): boolean =>
  Array.isArray(value) && value.length <= MAX_FEATURES && value.every((one) => typeof one === 'string' && FEATURE_PATTERN.test(one));

/** Sockets, cores and threads. */
export class CpuTopologyDto {
  @IntField({ description: 'Sockets.', optional: true, min: 1, max: MAX_CPUS, default: 1 }) sockets?: number;
  @IntField({ description: 'Cores of each socket.', optional: true, min: 1, max: MAX_CPUS, default: 1 }) cores?: number;
  @IntField({ description: 'Threads of each core.', optional: true, min: 1, max: MAX_CPUS, default: 1 }) threads?: number;
}

/** On which CPUs of the host the threads of a machine run. */
export class CpuPinningDto {
  @CustomField({
    description: 'For each virtual CPU a list of CPUs of the host; an empty list means any.',
    optional: true,
    code: 'spec.pin_invalid',
    schema: { type: 'array', maxItems: MAX_CPUS, items: numbers(HOST_NUMBERS, HOST_NUMBERS) },
    check: (value) =>
      Array.isArray(value) && value.length <= MAX_CPUS && value.every((list) => isNumberList(list, HOST_NUMBERS, HOST_NUMBERS)),
  })
  vcpus?: number[][];
  @CustomField({
    description: 'CPUs of the host for the threads of devices.',
    optional: true,
    code: 'spec.pin_invalid',
    schema: numbers(HOST_NUMBERS, HOST_NUMBERS),
    check: (value) => isNumberList(value, HOST_NUMBERS, HOST_NUMBERS),
  })
  io?: number[];
}

/** What the CPUs are like, and where they run. */
export class CpuOptionsDto {
  @ObjectField(() => CpuTopologyDto, {
    description: 'Their product is the number of CPUs. Default: one socket of cores without siblings.',
    optional: true,
  })
  topology?: CpuTopologyDto;
  @EnumField({
    description: '`host`: all that KVM offers; `x86-64-v2` and `x86-64-v3`: the features of that level, the same on every host.',
    optional: true,
    values: CPU_MODELS,
    default: 'host',
  })
  model?: (typeof CPU_MODELS)[number];
  @CustomField({
    description: 'Features beside those of the model, by their names in /proc/cpuinfo. The host must have them.',
    optional: true,
    code: 'spec.cpu_feature',
    schema: features,
    check: areFeatures,
  })
  enable?: string[];
  @CustomField({
    description: 'Features of the model that the guest does not see, with all that need them.',
    optional: true,
    code: 'spec.cpu_feature',
    schema: features,
    check: areFeatures,
  })
  disable?: string[];
  @BoolField({ description: 'Whether the guest can run virtual machines itself.', optional: true, default: false }) nested?: boolean;
  @ObjectField(() => CpuPinningDto, { description: 'On which CPUs of the host its threads run. Default: on any.', optional: true })
  pin?: CpuPinningDto;
}

/** What stands behind the memory. */
export class MemoryOptionsDto {
  @EnumField({
    description: '`memfd`: other processes can map it; `hugetlb-*`: huge pages from the pool of the host.',
    optional: true,
    values: MEMORY_BACKINGS,
    default: 'anonymous',
  })
  backing?: (typeof MEMORY_BACKINGS)[number];
  @EnumField({
    description: 'Whether the kernel makes transparent huge pages of it. Default: always. Not with hugetlb.',
    optional: true,
    values: TRANSPARENT_HUGEPAGES,
  })
  transparentHugepages?: (typeof TRANSPARENT_HUGEPAGES)[number];
  @BoolField({ description: 'Whether the host commits all of it before the guest starts.', optional: true, default: false })
  prefault?: boolean;
  @BoolField({ description: 'Whether what is committed is never swapped.', optional: true, default: false }) lock?: boolean;
  @BoolField({
    description: 'Whether the host may merge equal pages of machines. They can then spy on each other by timing.',
    optional: true,
    default: false,
  })
  mergeable?: boolean;
}

/** A NUMA node of the guest. */
export class NumaNodeDto {
  @CustomField({
    description: 'Its CPUs, from 0. Each CPU of the machine belongs to one node.',
    code: 'spec.numa_invalid',
    schema: numbers(MAX_CPUS, MAX_CPUS),
    check: (value) => isNumberList(value, MAX_CPUS, MAX_CPUS),
  })
  cpus: number[];
  @IntField({ description: 'Its memory in MiB; all nodes together have that of the machine.', min: 16, max: 64 * 1024 * 1024 })
  memoryMiB: number;
  @CustomField({
    description: 'Nodes of the host that its memory comes from. Default: any.',
    optional: true,
    code: 'spec.numa_invalid',
    schema: numbers(HOST_NUMBERS, HOST_NUMBERS),
    check: (value) => isNumberList(value, HOST_NUMBERS, HOST_NUMBERS),
  })
  hostNodes?: number[];
  @CustomField({
    description: 'Distance to each node: 10 to itself, 11 to 254 to others. Default: 20 to others.',
    optional: true,
    code: 'spec.numa_invalid',
    schema: { type: 'array', maxItems: MAX_NUMA_NODES, items: { type: 'integer', minimum: MIN_DISTANCE, maximum: MAX_DISTANCE } },
    check: (value) => isNumberList(value, MAX_NUMA_NODES, MAX_DISTANCE + 1) && value.every((one) => one >= MIN_DISTANCE),
  })
  distances?: number[];
}
