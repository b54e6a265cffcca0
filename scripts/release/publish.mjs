#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// node scripts/release/publish.mjs FOLDER [--dry-run] [--no-provenance]: publishes the tarballs that `npm run pack` made, the
// platform's first, so that nobody can install a package whose parts are not there yet. What the registry has already is passed over: a
// run that stopped half-way is simply run again.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { Failure, runMain } from '../lib/failure.mjs';

const order = ['native-linux', 'native', 'sdk', 'orchestrator', 'cli'];
const rank = ({ file }) => order.findIndex((part) => file.startsWith(`flotilla-${part}`));

/** @param {{ folder: string, dryRun: boolean, provenance: boolean }} wanted */
export function publishAll({ folder, dryRun, provenance }) {
  const packages = readdirSync(folder)
    .filter((file) => file.endsWith('.tgz'))
    .map((file) => ({ file, path: join(folder, file), ...manifestOf(join(folder, file)) }))
    .sort((a, b) => rank(a) - rank(b));
  if (packages.length === 0) throw new Failure(`${folder} holds no tarball`, `Fill it: npm run pack -- --output ${folder}`);
  if (provenance) requireRepository(packages);
  const options = ['--access', 'public', ...(provenance ? ['--provenance'] : []), ...(dryRun ? ['--dry-run'] : [])];
  const env = { ...process.env, ...token() };
  for (const { name, version, path } of packages) {
    if (isPublished(`${name}@${version}`, env)) {
      console.log(`${name}@${version} is published already`);
      continue;
    }
    const { status } = spawnSync('npm', ['publish', ...options, path], { stdio: 'inherit', env });
    if (status !== 0) throw new Failure(`npm publish ${path} ended with status ${status}`, 'Mend the cause and run this again');
  }
}

/** The registry takes a statement of provenance only for a package that names the repository it was built from. */
function requireRepository(packages) {
  const bare = packages.filter(({ repository }) => !repository?.url).map(({ name }) => name);
  if (bare.length === 0) return;
  const remedy = 'Pack with GITHUB_REPOSITORY=owner/name in the environment, or publish with --no-provenance';
  throw new Failure(`No repository is named by ${bare.join(', ')}`, remedy);
}

/** `npm view` fails for a package that the registry does not know and says nothing for an unknown version of a known one. */
function isPublished(specifier, env) {
  const { status, stdout } = spawnSync('npm', ['view', specifier, 'version', '--json'], { encoding: 'utf8', env });
  if (status === 0) return stdout.trim() !== '';
  if (errorCode(stdout) === 'E404') return false;
  throw new Failure(`The registry did not say whether it has ${specifier}: ${stdout}`, 'Try again');
}

function errorCode(text) {
  try {
    return JSON.parse(text).error?.code;
  } catch {
    return undefined;
  }
}

/** npm's setting for NODE_AUTH_TOKEN, whichever registry it is set to. */
function token() {
  const { NODE_AUTH_TOKEN } = process.env;
  if (!NODE_AUTH_TOKEN) return {};
  const registry = spawnSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).stdout.trim();
  return { [`npm_config_${registry.replace(/^https?:/, '').replace(/\/?$/, '/')}:_authToken`]: NODE_AUTH_TOKEN };
}

function manifestOf(tarball) {
  const { status, stdout, stderr } = spawnSync('tar', ['-xOzf', tarball, 'package/package.json'], { encoding: 'utf8' });
  if (status !== 0) throw new Failure(`${tarball} is no npm package: ${stderr}`);
  return JSON.parse(stdout);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runMain('publish', () => {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { 'dry-run': { type: 'boolean', default: false }, 'no-provenance': { type: 'boolean', default: false } },
    });
    publishAll({ folder: positionals[0] ?? 'packed', dryRun: values['dry-run'], provenance: !values['no-provenance'] });
  });
}
