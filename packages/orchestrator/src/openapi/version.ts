// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';

/** Version of this package, which is that of the API document too. Only where the package is built: the bundle has no such file. */
export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
  return manifest.version;
}
