// SPDX-License-Identifier: Apache-2.0
// SHA-256 of a file, read in pieces: disk images are larger than memory should be.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

/** @returns {Promise<string>} lower-case hexadecimal */
export async function sha256(path) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  return hash.digest('hex');
}
