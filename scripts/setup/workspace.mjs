// SPDX-License-Identifier: Apache-2.0
// The repository's own part of the setup: npm packages and the build, each skipped when its inputs have not changed.

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { contentKey } from '../lib/cache.mjs';
import { asUser } from '../lib/user.mjs';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Written by builds, so no input of them. */
const BUILT = new Set(['node_modules', 'dist', 'target', '.git', 'coverage']);
const DEPENDENCIES_STAMP = join(ROOT, 'node_modules', '.flotilla-setup');
const BUILD_STAMP = join(ROOT, 'target', '.flotilla-build');

export function dependenciesAreInstalled() {
  return read(DEPENDENCIES_STAMP) === dependenciesKey();
}

const NPM = {
  cwd: ROOT,
  remedy: 'Is the npm registry reachable? A proxy goes into .npmrc or HTTPS_PROXY.',
};

/** Exactly what the lock file says. */
export async function installDependencies(steps) {
  const [ci, install] = ['ci', 'install'].map((command) => [command, '--no-audit', '--no-fund', '--loglevel=error']);
  await steps.step('Install npm packages', async (step) => {
    try {
      await step.run('npm', ci, NPM);
    } catch (error) {
      // A registry mirror without the packages of other platforms makes npm refuse a lock file that is right, and the
      // other way round. `install` keeps to the lock file where it can; --no-save leaves it as it is.
      if (!step.clues().some((line) => line.includes('in sync'))) throw error;
      step.say('npm ci refuses the lock file, trying npm install');
      await step.run('npm', [...install, '--no-save'], NPM);
    }
  });
  stamp(DEPENDENCIES_STAMP, dependenciesKey());
}

export function isBuilt() {
  return read(BUILD_STAMP) === buildKey();
}

export async function build(steps) {
  await steps.step('Build (npm run build)', (step) =>
    step.run('npm', ['run', 'build'], {
      cwd: ROOT,
      remedy: 'The log has the compiler’s messages. "npm run build" repeats this step alone.',
    }),
  );
  stamp(BUILD_STAMP, buildKey());
}

/** What builds write, as far down as an earlier run may have made it for another user. */
export function builtPaths() {
  const folders = foldersIn('packages');
  return [
    ...['node_modules', 'target', 'target/release'].map((name) => join(ROOT, name)),
    ...folders.flatMap((folder) => ['dist', 'dist/src', 'dist/tsconfig.tsbuildinfo', 'node_modules'].map((name) => join(folder, name))),
    DEPENDENCIES_STAMP,
    BUILD_STAMP,
  ];
}

/** The binary modules belong to one Node version. */
function dependenciesKey() {
  const manifests = foldersIn('packages').map((folder) => join(folder, 'package.json'));
  const paths = [join(ROOT, 'package.json'), join(ROOT, 'package-lock.json'), ...manifests];
  return contentKey([process.versions.modules], paths.filter(existsSync));
}

function buildKey() {
  const tops = ['Cargo.toml', 'Cargo.lock', 'rust-toolchain.toml', 'package.json', 'tsconfig.base.json', 'openapi'];
  const paths = tops.map((name) => join(ROOT, name));
  for (const folder of ['crates', 'packages']) {
    for (const path of foldersIn(folder)) paths.push(...inputsBelow(path));
  }
  return contentKey([dependenciesKey()], paths.filter(existsSync));
}

/** The crates, or the packages, in order: beside them napi keeps files of its own for a moment. */
function foldersIn(name) {
  const entries = readdirSync(join(ROOT, name), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return entries.map((entry) => join(ROOT, name, entry.name)).sort();
}

/** Sources of one crate or package; what a build writes beside them does not count. */
function inputsBelow(directory) {
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => !BUILT.has(entry.name) && !entry.name.endsWith('.node'))
    .map((entry) => join(directory, entry.name));
}

function stamp(path, key) {
  asUser(() => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, key);
  });
}

function read(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}
