// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';

/** Refuses a list in which two entries are called the same. */
export function refuseDuplicates<K extends string>(field: string, list: readonly Record<K, string>[], key: K): void {
  const index = list.findIndex((one, at) => list.findIndex((other) => other[key] === one[key]) !== at);
  if (index < 0) return;
  throw new ApiError('spec.duplicate_name', {
    detail: `The ${key} "${list[index]?.[key]}" is used twice in ${field}.`,
    remedy: `Give each entry a ${key} of its own.`,
    field: `${field}[${index}].${key}`,
  });
}
