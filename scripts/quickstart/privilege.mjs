// SPDX-License-Identifier: Apache-2.0
// The quickstart needs root. Somebody who is not gets one command that works, before anything else is asked of them.

import { Failure } from '../lib/failure.mjs';

/** What a build reads from the environment of its user, besides PATH and HOME. */
const KEPT = ['RUSTUP_HOME', 'CARGO_HOME', 'XDG_CACHE_HOME', 'FLOTILLA_CACHE'];

/**
 * Networks, root disks, Debian packages and the lab need root; said before minutes of building.
 * @param {{ root: boolean }} host
 * @param {readonly string[]} words of the command line, to be given again
 */
export function requireRoot(host, words, environment = process.env) {
  if (host.root) return;
  throw new Failure(
    'The quickstart installs packages and makes network links and a root disk: it needs root',
    rootCommand(words, environment),
  );
}

/**
 * `env` sets the PATH after sudo: sudo itself puts its `secure_path` in place of the caller's, whatever it is told to
 * preserve, and then finds no Node or Rust of nvm and rustup.
 */
export function rootCommand(words, environment) {
  const names = ['PATH', 'HOME', ...KEPT.filter((name) => environment[name])];
  const settings = names.map((name) => `"${name}=$${name}"`).join(' ');
  return `sudo env ${settings} npm run quickstart${words.length > 0 ? ` -- ${words.join(' ')}` : ''}`;
}
