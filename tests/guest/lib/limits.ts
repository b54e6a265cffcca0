// SPDX-License-Identifier: Apache-2.0
// Everything is 25 times slower in the lab, and on a host with much to do a hundred times: these only tell a guest that hangs from one
// that is slow. Shorter than the limit of a test, whose error does not say what was waited for.

/** Milliseconds until a guest has started. */
export const bootLimitMs = 400_000;
/** Milliseconds until anything else has happened. */
export const waitLimitMs = 180_000;
