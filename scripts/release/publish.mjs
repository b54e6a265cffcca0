#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// node scripts/release/publish.mjs FOLDER [--dry-run] [--no-provenance]: publishes the tarballs that `npm run pack` made, the
// platform's first, so that nobody can install a package whose parts are not there yet. What the registry has already, byte for byte, is
// passed over: a run that stopped half-way is simply run again with the same tarballs. Other bytes under the same version end it before
// anything is published, and so does a workflow of a tag that is not `v` and the version of them all. A prerelease (1.0.0-rc.1) gets the tag `next`: `npm install` without a version never picks it.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
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
  requireTag(packages);
  if (provenance) requireRepository(packages);
  const options = ['--access', 'public', ...(provenance ? ['--provenance'] : []), ...(dryRun ? ['--dry-run'] : [])];
  const env = { ...process.env, ...token() };
  const there = packages.filter((one) => isPublished(one, env));
  for (const { name, version } of there) console.log(`${name}@${version} is published already`);
  for (const { version, path } of packages.filter((one) => !there.includes(one))) {
    const { status } = spawnSync('npm', ['publish', ...options, '--tag', tagFor(version), path], { stdio: 'inherit', env });
    if (status !== 0) throw new Failure(`npm publish ${path} ended with status ${status}`, 'Mend the cause and run this again');
  }
}

/** What follows a hyphen makes a prerelease (Semantic Versioning 9); what follows a plus is no part of the precedence. */
export function tagFor(version) {
  return version.split('+')[0].includes('-') ? 'next' : 'latest';
}

/** A workflow that a tag began publishes that version and no other: a tag is what people look for, a version is never replaced. */
function requireTag(packages) {
  const { GITHUB_REF_TYPE: type, GITHUB_REF_NAME: tag } = process.env;
  if (type !== 'tag') return;
  const others = packages.filter(({ version }) => `v${version}` !== tag).map(({ name, version }) => `${name}@${version}`);
  if (others.length === 0) return;
  throw new Failure(
    `The tag ${tag} is not the version of ${others.join(', ')}`,
    'Set the version in each package.json, commit, and tag that commit',
  );
}

/** The registry takes a statement of provenance only for a package that names the repository it was built from. */
function requireRepository(packages) {
  const bare = packages.filter(({ repository }) => !repository?.url).map(({ name }) => name);
  if (bare.length === 0) return;
  const remedy = 'Pack with GITHUB_REPOSITORY=owner/name in the environment, or publish with --no-provenance';
  throw new Failure(`No repository is named by ${bare.join(', ')}`, remedy);
}

/**
 * `npm view` fails for a package that the registry does not know and says nothing for an unknown version of a known one. What it has under
 * this version is never replaced, so it must be this very tarball: else the packages of one version would be of two builds.
 */
function isPublished({ name, version, path }, env) {
  const specifier = `${name}@${version}`;
  const { status, stdout } = spawnSync('npm', ['view', specifier, 'dist.integrity', 'version', '--json'], { encoding: 'utf8', env });
  if (status !== 0 && errorCode(stdout) === 'E404') return false;
  if (status !== 0) throw new Failure(`The registry did not say whether it has ${specifier}: ${stdout}`, 'Try again');
  if (stdout.trim() === '') return false;
  const integrity = `sha512-${createHash('sha512').update(readFileSync(path)).digest('base64')}`;
  if (JSON.parse(stdout)['dist.integrity'] === integrity) return true;
  const remedy = 'Publish the tarballs of the run that published it (run its job "publish" again), or raise the version';
  throw new Failure(`The registry has another ${specifier} than ${path}`, remedy);
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
