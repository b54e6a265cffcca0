// SPDX-License-Identifier: Apache-2.0
// Inputs that a target accepts, for formats whose fields must fit each other: from noise no fuzzer gets past their header in a minute.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { bzImage, vmlinux } from './seeds/kernels.mjs';
import { qcow2 } from './seeds/qcow2.mjs';

/** By target. That of qcow2 opens an image of odd length for writing. */
const SEEDS = {
  elf: () => [vmlinux()],
  bzimage: () => [bzImage()],
  qcow2: () => [2, 3].map(qcow2).flatMap((image) => [image, Buffer.concat([image, Buffer.alloc(1)])]),
};

/** @returns {Buffer[]} none for a target that needs none */
export function seedsOf(target) {
  return Object.hasOwn(SEEDS, target) ? SEEDS[target]() : [];
}

/** Writes them into a folder, which is made, and gives their paths. */
export function writeSeeds(folder, target) {
  mkdirSync(folder, { recursive: true });
  return seedsOf(target).map((seed, index) => {
    const path = join(folder, `seed-${index}`);
    writeFileSync(path, seed);
    return path;
  });
}
