// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import { isBelow, type SharedFolder } from '../../common/shared-folder.js';
import { refuseDuplicates } from './duplicates.js';
import type { CreateMachine } from './dto/machine-requests.dto.js';

/** The folders with their defaults; refuses what no machine may have. The host looks again when it opens them. */
export function planShares({ shares = [], memoryOptions }: CreateMachine, roots: readonly string[]): { shares?: SharedFolder[] } {
  refuseDuplicates('shares', shares, 'tag');
  for (const [index, { path }] of shares.entries()) {
    if (!isBelow(path, roots)) throw new NotShared(path, roots, `shares[${index}].path`);
  }
  if (shares.length > 0 && memoryOptions?.mergeable === true) {
    throw new ApiError('spec.memory_conflict', {
      detail: 'The memory of a machine with shared folders is shared, and the kernel merges private memory only.',
      remedy: 'Leave mergeable out, or share no folder.',
      field: 'memoryOptions.mergeable',
    });
  }
  if (shares.length === 0) return {};
  return { shares: shares.map(({ tag, path, readOnly }) => ({ tag, path, readOnly: readOnly ?? false })) };
}

class NotShared extends ApiError {
  constructor(path: string, roots: readonly string[], field: string) {
    super('share.forbidden', {
      detail:
        roots.length === 0
          ? 'This host lets no machine share its folders.'
          : `${path.slice(0, 200)} is in none of the folders that machines may share.`,
      remedy: 'Start the orchestrator with `flotilla up --share-root DIR` (FLOTILLA_SHARE_ROOTS) for a directory that holds the folder.',
      field,
    });
  }
}
