// SPDX-License-Identifier: Apache-2.0
// Where built things are kept, how their key is made, and how two builders of one thing keep out of each other's way.

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { asUser, giveToUser, invokingUser } from './user.mjs';

const KEPT_GENERATIONS = 2;
const LOCK_POLL_MS = 250;

/** `$FLOTILLA_CACHE`, else `flotilla` below the cache directory of the user, also when they have called us by sudo. */
export function cacheDirectory() {
  const { FLOTILLA_CACHE, XDG_CACHE_HOME } = process.env;
  return FLOTILLA_CACHE || join(XDG_CACHE_HOME || join(invokingUser()?.home ?? homedir(), '.cache'), 'flotilla');
}

export function logDirectory() {
  return join(cacheDirectory(), 'logs');
}

/** Short hash over strings and the contents of files and directories (names count, times do not). */
export function contentKey(strings, paths) {
  const hash = createHash('sha256');
  for (const text of strings) hash.update(`${text}\0`);
  for (const path of paths) addPath(hash, path, '');
  return hash.digest('hex').slice(0, 16);
}

function addPath(hash, path, name) {
  if (statSync(path).isDirectory()) {
    for (const entry of readdirSync(path).sort()) {
      if (entry !== 'target') addPath(hash, join(path, entry), `${name}/${entry}`);
    }
  } else {
    hash.update(`${name}\0`).update(readFileSync(path)).update('\0');
  }
}

/**
 * The directory `<kind>-<key>` in the cache; `build(directory)` fills a new one when it is not there yet. It appears whole
 * or not at all. Older generations of the same kind are removed, save the newest of them.
 * @param {string} kind may contain slashes: `guest/kernel`
 * @param {string} key
 * @param {(directory: string) => Promise<void>} build
 * @returns {Promise<string>}
 */
export async function cached(kind, key, build) {
  const final = join(cacheDirectory(), `${kind}-${key}`);
  if (isComplete(final)) return final;
  asUser(() => mkdirSync(dirname(final), { recursive: true }), cacheDirectory());
  const unlock = await lock(`${final}.lock`);
  try {
    if (isComplete(final)) return final;
    const partial = `${final}.partial-${randomBytes(4).toString('hex')}`;
    try {
      asUser(() => mkdirSync(partial), cacheDirectory());
      await build(partial);
      giveToUser(partial);
      renameSync(partial, final);
    } finally {
      rmSync(partial, { recursive: true, force: true });
    }
    removeOldGenerations(final, `${kind}-`);
    return final;
  } finally {
    unlock();
  }
}

/** Whether the cache has this already: for scripts that announce what they will do. */
export function isCached(kind, key) {
  return existsSync(join(cacheDirectory(), `${kind}-${key}`));
}

function isComplete(directory) {
  if (!existsSync(directory)) return false;
  const now = new Date();
  utimesSync(directory, now, now);
  return true;
}

function removeOldGenerations(current, prefix) {
  const parent = dirname(current);
  const name = join(cacheDirectory(), prefix).slice(parent.length + 1);
  const generations = readdirSync(parent)
    .filter((entry) => entry.startsWith(name) && /^[0-9a-f]{16}$/.test(entry.slice(name.length)))
    .map((entry) => ({ path: join(parent, entry), used: statSync(join(parent, entry)).mtimeMs }))
    .filter(({ path }) => path !== current)
    .sort((a, b) => b.used - a.used);
  for (const { path } of generations.slice(KEPT_GENERATIONS - 1)) rmSync(path, { recursive: true, force: true });
}

/** Takes a lock file that names its owner; a lock whose owner is gone is taken over. */
async function lock(path) {
  let announced = false;
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' });
      return () => rmSync(path, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const owner = lockOwner(path);
    if (owner !== undefined && !isAlive(owner)) {
      rmSync(path, { force: true });
      continue;
    }
    if (!announced) process.stderr.write(`  waiting: process ${owner ?? '?'} builds the same (${path})\n`);
    announced = true;
    await sleep(LOCK_POLL_MS);
  }
}

function lockOwner(path) {
  try {
    return Number(readFileSync(path, 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}

export function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
