// SPDX-License-Identifier: Apache-2.0
// The text format 0.0.4 of Prometheus, for storage pools. Their names have no character that would have to be escaped.
import type { PoolDto } from '../pools/dto/pool.dto.js';

const FAMILIES: readonly [name: string, help: string, value: (pool: PoolDto) => number][] = [
  ['ready', 'Whether the pool is started and the host can reach it.', ({ state }) => Number(state === 'ready')],
  ['guarded', 'Whether less is free than the guard of the pool keeps.', ({ guarded }) => Number(guarded)],
  ['capacity_bytes', 'Bytes of the storage that the pool is on.', ({ capacityBytes }) => capacityBytes],
  ['allocated_bytes', 'Bytes given to volumes and images.', ({ allocatedBytes }) => allocatedBytes],
  ['available_bytes', 'Bytes that new images and volumes may take.', ({ availableBytes }) => availableBytes],
  ['promised_bytes', 'Bytes that its volumes may come to hold together.', ({ promisedBytes }) => promisedBytes],
  ['volumes', 'Volumes in the pool.', ({ volumes }) => volumes],
];

/** A family for each value, with a line for each pool. */
export function renderPools(pools: readonly PoolDto[]): string {
  return FAMILIES.map(([name, help, value]) => {
    const family = `flotilla_pool_${name}`;
    const lines = pools.map((pool) => `${family}{pool="${pool.name}"} ${value(pool)}\n`);
    return `# HELP ${family} ${help}\n# TYPE ${family} gauge\n${lines.join('')}`;
  }).join('');
}
