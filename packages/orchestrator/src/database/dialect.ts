// SPDX-License-Identifier: Apache-2.0
/** Which database it is. */
export type DialectName = 'sqlite' | 'postgres';
