#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// node scripts/release/publish.mjs FOLDER: publishes the tarballs that `npm run pack` made, the platform's first, so that
// nobody can install a package whose parts are not there yet.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const [folder = 'packed'] = process.argv.slice(2);
const order = ['native-linux', 'native', 'sdk', 'orchestrator', 'cli'];
const rank = (name) => order.findIndex((part) => name.startsWith(`flotilla-${part}`));

for (const name of readdirSync(folder)
  .filter((file) => file.endsWith('.tgz'))
  .sort((a, b) => rank(a) - rank(b))) {
  const { status } = spawnSync('npm', ['publish', '--access', 'public', '--provenance', join(folder, name)], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
