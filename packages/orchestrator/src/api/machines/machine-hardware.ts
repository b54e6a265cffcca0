// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import type { Hardware, MemoryOptions, NumaNode } from '../../common/hardware.js';

/** What memory is made of, as far as whole MiB are not whole pages anyway. */
const PAGE_MIB: Record<NonNullable<MemoryOptions['backing']>, number> = { anonymous: 1, memfd: 1, 'hugetlb-2M': 2, 'hugetlb-1G': 1024 };
/** The distance of a node to itself (ACPI 6.5 §5.2.17). */
const LOCAL = 10;

/** Refuses what cannot be on any host, with the field at fault. What depends on the host is told when it is prepared there. */
export function checkHardware(body: Hardware & { cpus: number; memoryMiB: number }): void {
  checkTopology(body);
  checkFeatures(body);
  checkMemory(body);
  checkNodes(body);
}

function checkTopology({ cpu, cpus }: Hardware & { cpus: number }): void {
  if (cpu?.topology !== undefined) {
    const { sockets = 1, cores = 1, threads = 1 } = cpu.topology;
    if (sockets * cores * threads !== cpus)
      throw new ApiError('spec.cpu_topology', {
        detail: `${sockets} sockets of ${cores} cores of ${threads} threads are not ${cpus} CPUs.`,
        remedy: 'Give sockets, cores and threads whose product is cpus.',
        field: 'cpu.topology',
      });
  }
  const lists = cpu?.pin?.vcpus?.length ?? 0;
  if (lists !== 0 && lists !== cpus)
    throw new ApiError('spec.pin_invalid', {
      detail: `${lists} lists are not one for each of ${cpus} CPUs.`,
      remedy: 'Give one list for each CPU; an empty one means any CPU of the host.',
      field: 'cpu.pin.vcpus',
    });
}

function checkFeatures({ cpu: { enable = [], disable = [], nested = false } = {} }: Hardware): void {
  for (const [index, name] of enable.entries()) {
    const both = disable.includes(name);
    if (!both && (nested || !['vmx', 'svm'].includes(name))) continue;
    throw new ApiError('spec.cpu_feature', {
      detail: both ? `Feature ${name} is enabled and disabled at once.` : `Feature ${name} is what nested means.`,
      remedy: both ? 'Name it in one of the two lists.' : 'Leave it out, and give nested: true.',
      field: `cpu.enable[${index}]`,
    });
  }
}

function checkMemory({ memoryOptions: options = {}, memoryMiB }: Hardware & { memoryMiB: number }): void {
  const { backing = 'anonymous' } = options;
  const huge = backing.startsWith('hugetlb');
  if (huge && options.transparentHugepages !== undefined)
    throw conflict('transparentHugepages', 'Pages of the pool are huge already.', 'Leave transparentHugepages out.');
  if (options.mergeable === true && backing !== 'anonymous')
    throw conflict('mergeable', 'Only private memory is merged.', 'Leave mergeable out, or use the backing anonymous.');
  if (options.mergeable === true && options.lock === true)
    throw conflict('lock', 'Memory that is merged is not locked.', 'Leave mergeable or lock out.');
  const page = PAGE_MIB[backing];
  if (memoryMiB % page !== 0)
    throw new ApiError('spec.memory_unaligned', {
      detail: `${memoryMiB} MiB are not whole pages of ${page} MiB.`,
      remedy: `Give a multiple of ${page}.`,
      field: 'memoryMiB',
    });
}

function conflict(field: string, detail: string, remedy: string): ApiError {
  return new ApiError('spec.memory_conflict', { detail, remedy, field: `memoryOptions.${field}` });
}

function checkNodes({ numa = [], memoryOptions, cpus, memoryMiB }: Hardware & { cpus: number; memoryMiB: number }): void {
  if (numa.length === 0) return;
  const page = PAGE_MIB[memoryOptions?.backing ?? 'anonymous'];
  for (const [index, node] of numa.entries()) checkNode(node, { index, nodes: numa.length, page });
  const sum = numa.reduce((total, node) => total + node.memoryMiB, 0);
  const held = numa.flatMap((node) => node.cpus).sort((one, other) => one - other);
  const whole = held.length === cpus && held.every((cpu, index) => cpu === index);
  if (sum === memoryMiB && whole) return;
  throw new ApiError('spec.numa_invalid', {
    detail: sum === memoryMiB ? 'Not every CPU is in one node.' : `The nodes have ${sum} MiB, the machine ${memoryMiB}.`,
    remedy: 'Put each CPU into one node, and share out the whole memory among the nodes.',
    field: 'numa',
  });
}

function checkNode({ memoryMiB, distances = [] }: NumaNode, { index, nodes, page }: { index: number; nodes: number; page: number }): void {
  if (memoryMiB % page !== 0)
    throw new ApiError('spec.numa_invalid', {
      detail: `${memoryMiB} MiB are not whole pages of ${page} MiB.`,
      remedy: `Give a multiple of ${page}.`,
      field: `numa[${index}].memoryMiB`,
    });
  const fits = distances.every((distance, to) => (to === index ? distance === LOCAL : distance > LOCAL));
  if (distances.length === 0 || (distances.length === nodes && fits)) return;
  throw new ApiError('spec.numa_invalid', {
    detail: `${distances.join(', ')} are not the distances of node ${index} to each of ${nodes} nodes.`,
    remedy: `Give one for each node: ${LOCAL} to itself, ${LOCAL + 1} to 254 to the others.`,
    field: `numa[${index}].distances`,
  });
}
