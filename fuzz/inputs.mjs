// SPDX-License-Identifier: Apache-2.0
// Inputs for a target where there is no coverage to guide it: many, of all lengths, the same in every run.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MAX_LENGTH = 4096;

/** Writes `count` inputs into a folder and gives their paths. */
export function writeInputs(folder, count, seed) {
  return write(folder, count, seed, input);
}

/** The same of inputs that were valid, but for some bytes of them. */
export function writeSpoiled(folder, count, seed, valid) {
  return write(folder, count, seed, (random) => spoiled(valid[Math.floor(random() * valid.length)], random));
}

function write(folder, count, seed, make) {
  const random = numbers(seed);
  return Array.from({ length: count }, (_, index) => {
    const path = join(folder, String(index).padStart(4, '0'));
    writeFileSync(path, make(random));
    return path;
  });
}

/**
 * As many short ones as long ones. Some are noise; in the others most bytes are small or repeat, as in the fields of a
 * header, in indices and in offsets: noise alone seldom gets past a first check.
 */
function input(random) {
  const bytes = Buffer.alloc(Math.floor(MAX_LENGTH ** random()) - 1);
  const [least, same] = [random() < 0.5 ? 256 : 8, random() * 0.6];
  for (let at = 0; at < bytes.length; at += 1) {
    const repeats = at > 0 && random() < same;
    bytes[at] = repeats ? bytes[at - 1] : Math.floor(random() * (random() < 0.1 ? 256 : least));
  }
  return bytes;
}

/** One to eight bytes are others, mostly in the first part, where headers are; now and then the end is missing. */
function spoiled(valid, random) {
  const bytes = Buffer.from(valid);
  for (let left = 1 + Math.floor(8 * random()); left > 0; left -= 1) {
    bytes[Math.floor(bytes.length * random() ** 2)] = random() < 0.5 ? 0xff : Math.floor(256 * random());
  }
  return random() < 0.1 ? bytes.subarray(0, Math.floor(bytes.length * random())) : bytes;
}

/** Numbers from 0 to 1 that follow from the seed (xorshift of Marsaglia, 32 bit). */
function numbers(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
