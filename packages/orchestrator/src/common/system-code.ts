// SPDX-License-Identifier: Apache-2.0

/** The code of an error of the system or of a library, such as `ENOENT`. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
