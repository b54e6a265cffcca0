// SPDX-License-Identifier: Apache-2.0
// Debian packages: which are needed for what (packages.json), which are missing, and their installation.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { Failure } from '../lib/failure.mjs';

const NEEDED = JSON.parse(readFileSync(new URL('packages.json', import.meta.url), 'utf8'));

/** @typedef {'build' | 'run' | 'guest' | 'kernel' | 'bench' | 'lab' | 'check' | 'test'} Purpose */

/** @type {readonly Purpose[]} */
export const PURPOSES = Object.keys(NEEDED);

/** Packages that `purposes` need and that are not installed, sorted. */
export function missingPackages(purposes) {
  const wanted = [...new Set(purposes.flatMap((purpose) => NEEDED[purpose]))].sort();
  if (!existsSync('/usr/bin/dpkg-query')) {
    throw new Failure('This is no Debian: dpkg-query is missing', `Install by your own means what these contain: ${wanted.join(' ')}`);
  }
  const installed = new Set();
  for (const line of query(wanted).split('\n')) {
    const [name, status] = line.split('\t');
    if (status === 'installed') installed.add(name);
  }
  return wanted.filter((name) => !installed.has(name));
}

/** dpkg-query fails when one of the names is unknown, and still prints the others. */
function query(names) {
  const args = ['-W', '-f', '${Package}\t${db:Status-Status}\n', ...names];
  try {
    return execFileSync('/usr/bin/dpkg-query', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    return String(error.stdout ?? '');
  }
}

/** The one command for somebody who is not root. */
export function installCommand(packages) {
  return `sudo apt-get install -y --no-install-recommends ${packages.join(' ')}`;
}

/** Installs them; needs root. Waits for another apt rather than failing. */
export async function installPackages(steps, packages) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  const options = { env, remedy: 'Is the Debian archive reachable? Try: apt-get update' };
  await steps.step(`Install ${packages.length} Debian packages`, async (step) => {
    step.say('apt-get update');
    await step.run('apt-get', ['update', '-o', 'DPkg::Lock::Timeout=300'], options);
    await step.run('apt-get', ['install', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', ...packages], options);
  });
}
