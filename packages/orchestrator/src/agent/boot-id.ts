// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';

/** Names this run of the host: another one after each restart. */
export async function currentBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
}
