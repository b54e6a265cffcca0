// SPDX-License-Identifier: Apache-2.0
// The fuzz targets, as fuzz/Cargo.toml lists them.
import { readFileSync } from 'node:fs';

/** Their names, in the manifest's order. */
export function listTargets() {
  const manifest = readFileSync(new URL('Cargo.toml', import.meta.url), 'utf8');
  return [...manifest.matchAll(/^\[\[bin\]\]\nname = "([^"]+)"/gm)].map(([, name]) => name);
}
