// SPDX-License-Identifier: Apache-2.0
// What the style tests share: the list of our files, and running a tool.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { hasGo, missingTools } from '../../scripts/setup/tools.mjs';
import { PURPOSES } from '../../scripts/setup/system-packages.mjs';

export const top = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

const installedByGo = missingTools(PURPOSES, () => false).map(({ name }) => name);

/** Every file that is ours: tracked, or new and not ignored. */
export function ourFiles(filter = () => true) {
  const listed = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: top, encoding: 'utf8' });
  if (listed.status !== 0) throw new Error(`git ls-files failed: ${listed.stderr}`);
  return listed.stdout.split('\0').filter((path) => path !== '' && existsSync(join(top, path)) && filter(path));
}

export function read(path) {
  return readFileSync(join(top, path), 'utf8');
}

/** Runs a tool in the top folder; a failure throws with the end of what it printed. */
export function run(program, args, options = {}) {
  const done = spawnSync(program, args, { cwd: top, encoding: 'utf8', maxBuffer: 1 << 28, ...options });
  if (done.error) throw done.error;
  if (done.status !== 0) {
    const said = `${done.stdout}${done.stderr}`.split('\n').slice(-60).join('\n');
    throw new Error(`${program} ${args.join(' ')} ended with status ${done.status}:\n${said}`);
  }
  return done.stdout;
}

export function isInstalled(program) {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
}

/**
 * Skips the running test and says why: a skip is never silent. Where the tool that it wants is required it fails instead:
 * `REQUIRE_TOOLS=1` requires what the set-up installs on this host, `REQUIRE_TOOLS=all` every tool.
 */
export function skip(test, why, { tool, required = isRequired(tool) }) {
  if (required) throw new Error(`${tool} is missing and REQUIRE_TOOLS is set: ${why}`);
  console.log(`SKIPPED: ${test.test.fullTitle()}: ${why}`);
  test.skip();
}

export function isRequired(tool, wanted = process.env.REQUIRE_TOOLS, installable = hasGo() ? installedByGo : []) {
  return wanted === 'all' || (wanted === '1' && installable.includes(tool));
}

/** Source that people wrote: not generated, not a lock file. */
export function isHandWritten(path) {
  return !/(^|\/)(generated|dist|node_modules)\/|\.gen\.ts$|package-lock\.json$|Cargo\.lock$/.test(path) && !isAddonLoader(path);
}

function isAddonLoader(path) {
  return path === 'packages/native/index.js' || path === 'packages/native/index.d.ts';
}
