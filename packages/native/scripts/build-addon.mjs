// SPDX-License-Identifier: Apache-2.0
// Compiles addon and worker. What napi makes goes to a folder of its own first and comes here only if it differs, and then at once: the
// TypeScript packages, which read these files, are compiled at the same time.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const made = join(process.env.CARGO_TARGET_DIR ?? join(root, '../../target'), 'addon');

mkdirSync(made, { recursive: true });
const napi = [
  '--platform',
  '--release',
  '--esm',
  '--no-const-enum',
  '--manifest-path',
  '../../crates/node/Cargo.toml',
  '--output-dir',
  made,
];
const cargo = ['--locked', '--package', 'flotilla-worker', '--package', 'flotilla-node'];
const { status } = spawnSync('napi', ['build', ...napi, '--', ...cargo], { cwd: root, stdio: 'inherit' });
if (status !== 0) process.exit(status ?? 1);

for (const name of readdirSync(made)) {
  const [from, to] = [join(made, name), join(root, name)];
  if (existsSync(to) && readFileSync(from).equals(readFileSync(to))) continue;
  copyFileSync(from, `${to}.new`);
  renameSync(`${to}.new`, to);
}
