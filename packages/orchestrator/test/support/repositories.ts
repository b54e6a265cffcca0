// SPDX-License-Identifier: Apache-2.0
// What the tests of all repositories use.
import { isUniqueViolation } from '../../src/database/database.js';

export const NOW = '2026-01-02T03:04:05.678Z';
/** More than 32 bits hold. */
export const LARGE = 5 * 2 ** 40;
/** The page with all of a test's rows. */
export const everything = { limit: 100, labels: {} };

/** Whether an attempt failed because a name or address is taken. */
export async function isTaken(attempt: Promise<unknown>): Promise<boolean> {
  return attempt.then(() => false, isUniqueViolation);
}
