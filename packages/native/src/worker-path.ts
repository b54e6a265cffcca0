// SPDX-License-Identifier: Apache-2.0
import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { FlotillaError } from './errors.js';

const PLATFORM_PACKAGE = '@flotilla/native-linux-x64-gnu';
const NAME = 'flotilla-vmm';

/** dist/src → the package → packages → the repository. */
const repository = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', '..');
/** Where cargo puts it without and with `--target`. */
const builds = ['release', 'x86_64-unknown-linux-gnu/release'].map((folder) => join(repository, 'target', folder, NAME));

/**
 * The worker program: what the environment variable FLOTILLA_WORKER names, else that of the installed platform
 * package, else that of a build in this repository.
 */
export function resolveWorkerPath(): string {
  const named = process.env['FLOTILLA_WORKER'];
  const places = named !== undefined && named !== '' ? [named] : [...inPlatformPackage(), ...newestFirst(builds)];
  const found = places.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new FlotillaError({
    code: 'file.missing',
    message: `The worker program ${NAME} is not at ${places.join(' or ')}`,
    remedy: `Install ${PLATFORM_PACKAGE}, build it with \`npm run build:rust\`, or name it in FLOTILLA_WORKER`,
  });
}

function inPlatformPackage(): string[] {
  try {
    const manifest = createRequire(import.meta.url).resolve(`${PLATFORM_PACKAGE}/package.json`);
    return [join(dirname(manifest), NAME)];
  } catch {
    return [];
  }
}

function newestFirst(paths: string[]): string[] {
  const changed = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return paths.toSorted((one, other) => changed(other) - changed(one));
}
