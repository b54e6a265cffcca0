// SPDX-License-Identifier: Apache-2.0
import { ApiError } from './api-error.js';

/** A resource whose ETag is its generation. */
export interface Versioned {
  name: string;
  generation: number;
}

/** Compares If-Match with the generation; `*` and absence always match. `kind`: how the resource is called at the begin of a sentence. */
export function requireMatch(kind: string, { name, generation }: Versioned, ifMatch: string | undefined): void {
  if (ifMatch === undefined || ifMatch.trim() === '*') return;
  const tags = ifMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  if (tags.includes(`"${generation}"`)) return;
  throw new ApiError('precondition.failed', {
    detail: `${kind} "${name}" is at generation ${generation}, not at the one of If-Match.`,
    remedy: `Read the ${kind.toLowerCase()} again, check your change against it, and repeat it with the new ETag.`,
  });
}
