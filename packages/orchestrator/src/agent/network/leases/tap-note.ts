// SPDX-License-Identifier: Apache-2.0
import { readFile, stat } from 'node:fs/promises';

/** What is noted about a tap before it is made: whose it is, and on which network with which address. */
export interface TapNote {
  machine: string;
  mac: string;
  network: string;
}

export function formatTapNote({ machine, mac, network }: TapNote): string {
  return `${machine} ${mac.toLowerCase()} ${network}`;
}

/** The note of a tap and when it was written; undefined when there is none, or one that is not whole. */
export async function readTapNote(path: string): Promise<(TapNote & { since: number }) | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  const facts = await stat(path).catch(() => undefined);
  if (text === undefined || facts === undefined) return undefined;
  const [machine = '', mac = '', network = ''] = text.split(' ');
  if (machine === '' || mac === '' || network === '') return undefined;
  return { machine, mac, network, since: facts.mtimeMs };
}
