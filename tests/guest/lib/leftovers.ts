// SPDX-License-Identifier: Apache-2.0
// Files of a cloud. Its directories go with its suite, so they are looked at before.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Where one cloud keeps its things; two orchestrators after each other share it. */
export interface Places {
  readonly dataDir: string;
  readonly runtimeDir: string;
}

/** Files that machines have on disk, as `kind/name`, sorted: volumes, also those set aside, console logs, notes of taps, run directories of workers. */
export function machineFiles({ dataDir, runtimeDir }: Places): string[] {
  const host = join(dataDir, 'host');
  return [
    ...named('console', join(host, 'consoles')),
    ...named('run', join(runtimeDir, 'machines')),
    ...named('tap', join(host, 'networks/taps')),
    ...named('volume', join(host, 'pools/default/volumes')),
    ...setAside(join(host, 'pools/default/set-aside')),
  ];
}

/** Names of the files that images have on disk, sorted; of an image that is whole it is the id. */
export function imageFiles({ dataDir }: Places): string[] {
  return readdirSync(join(dataDir, 'host/pools/default/images')).sort();
}

/** What no resource owned; the directory is made for the first. */
function setAside(directory: string): string[] {
  return existsSync(directory) ? named('set-aside', directory) : [];
}

/** A directory that is not there is an error: looked for in the wrong place, nothing would ever be left. */
function named(kind: string, directory: string): string[] {
  return readdirSync(directory)
    .sort()
    .map((name) => `${kind}/${name}`);
}
