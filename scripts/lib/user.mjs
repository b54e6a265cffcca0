// SPDX-License-Identifier: Apache-2.0
// For whom root works here. After `sudo npm run quickstart` the clone must still be its owner's, so that `npm run build` goes on
// without root: what needs no root is made by the owner themselves; what root has made in their cache is given to them.

import {
  closeSync,
  constants,
  existsSync,
  fchownSync,
  fstatSync,
  lchownSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Failure } from './failure.mjs';

const CLONE = fileURLToPath(new URL('../..', import.meta.url));
/** They write into the clone and the home of their user, run foreign code, and need no root. */
const BUILDERS = new Set(['cargo', 'go', 'npm']);
/** What npm writes when it only runs a script. */
const NPM_TRACES = ['_logs', '_update-notifier-last-checked'];

/** @typedef {{ uid: number, gid: number, name: string, home: string }} User */

/**
 * Who called sudo, when we are root and the clone is theirs. Else nobody: we are the user, or the clone is root's own.
 * @returns {User | undefined}
 */
export function invokingUser(environment = process.env) {
  if (process.getuid?.() !== 0) return undefined;
  const [uid, gid] = [environment.SUDO_UID, environment.SUDO_GID].map((text) => (/^[1-9]\d*$/.test(text ?? '') ? Number(text) : undefined));
  if (uid === undefined || gid === undefined || statSync(CLONE).uid !== uid) return undefined;
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((text) => text.split(':')[2] === String(uid));
  const [name = String(uid), , , , , home = '/'] = line?.split(':') ?? [];
  return { uid, gid, name, home: isOwnedBy(environment.HOME, uid) ? environment.HOME : home };
}

/** How `program` is to be started: a builder as the invoking user, everything else as we are. Options of `spawn`. */
export function identityFor(program, environment = process.env) {
  const user = BUILDERS.has(basename(program)) ? invokingUser() : undefined;
  if (user === undefined) return { env: environment };
  const { uid, gid, name, home } = user;
  const before = environment.HOME ?? '/root';
  // Under `sudo npm` with root's home, npm's settings for its scripts lead there.
  const kept = Object.entries(environment).filter(([key, value]) => before === home || !(/^npm_/i.test(key) && value?.startsWith(before)));
  return { uid, gid, env: { ...Object.fromEntries(kept), HOME: home, USER: name, LOGNAME: name } };
}

/**
 * Does something short with files as the invoking user, so that what it makes is theirs.
 * @template T
 * @param {() => T} act must not be asynchronous: the whole process changes its user meanwhile
 * @param {string} [whole] the folder to be given back where an earlier run as root is in the way; default: the path that failed
 */
export function asUser(act, whole) {
  const user = invokingUser();
  if (user === undefined) return act();
  process.setegid(user.gid);
  process.seteuid(user.uid);
  try {
    return act();
  } catch (error) {
    if (!['EACCES', 'EPERM'].includes(error.code)) throw error;
    const path = whole ?? error.path;
    throw existsSync(path) ? rootsOwn(path, user) : mayNotMake(path, user);
  } finally {
    process.seteuid(0);
    process.setegid(0);
  }
}

/** Stops, before minutes are spent, at what an earlier run as root has left and their builds cannot replace. */
export function requireOwn(paths) {
  const user = invokingUser();
  const foreign = user === undefined ? [] : paths.filter((path) => existsSync(path) && !isOwnedBy(path, user.uid));
  if (foreign.length > 0) throw rootsOwn(foreign.join(' '), user);
}

/**
 * Gives the invoking user what root has made at `path` and below. It goes down by descriptors and follows no link, so nothing else can be
 * put in the way; a file with a second name stays as it is, for that name may be elsewhere.
 */
export function giveToUser(path) {
  const user = invokingUser();
  if (user !== undefined && existsSync(path)) give(path, user);
}

/** npm has run us as root, and in the user's home left its log and maybe its whole folder, which npm of the user then refuses. */
export function giveTracesOfNpm(folder = process.env.npm_config_cache) {
  const user = invokingUser();
  if (user === undefined || folder === undefined || !existsSync(folder) || !isOwnedBy(dirname(folder), user.uid)) return;
  for (const name of NPM_TRACES) giveToUser(join(folder, name));
  giveDirectory(folder, user, () => undefined);
}

function give(path, user) {
  const found = lstatSync(path);
  if (found.isDirectory()) giveDirectory(path, user, (name, parent) => give(`${parent}/${name}`, user));
  else if (found.uid === 0 && found.nlink === 1) lchownSync(path, user.uid, user.gid);
}

function giveDirectory(path, user, each) {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    const here = `/proc/self/fd/${descriptor}`;
    for (const name of readdirSync(here)) each(name, here);
    if (fstatSync(descriptor).uid === 0) fchownSync(descriptor, user.uid, user.gid);
  } finally {
    closeSync(descriptor);
  }
}

function rootsOwn(path, { uid, name }) {
  return new Failure(`${path} is not ${name}’s: an earlier run as root has made it`, `Give it back: sudo chown -hR ${uid} ${path}`);
}

function mayNotMake(path, { uid, gid, name }) {
  return new Failure(`${name} may not make ${path}`, `Make it for them: sudo install -d -o ${uid} -g ${gid} ${path}`);
}

function isOwnedBy(path, uid) {
  return path !== undefined && lstatSync(path, { throwIfNoEntry: false })?.uid === uid;
}
