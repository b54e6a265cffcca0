// SPDX-License-Identifier: Apache-2.0
// What both steps of the action share.
import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where the steps keep what they make: a folder of this job. */
export const temporary = process.env.RUNNER_TEMP ?? '/tmp';

/** Where the npm packages are installed. */
export const modules = join(temporary, 'flotilla', 'node_modules');

/** Runs a program with its output shown; a failure ends the step. */
export function run(program, args, options = {}) {
  console.log(`+ ${program} ${args.join(' ')}`);
  const { status, error } = spawnSync(program, args, { stdio: 'inherit', ...options });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ended with status ${status}`);
}

/** The same command as root: GitHub's runners have sudo without a password, containers are root already. */
export function asRoot(program, args) {
  if (process.getuid?.() === 0) return [program, args];
  return ['sudo', ['--non-interactive', '--preserve-env', program, ...args]];
}

/** Text of a file that only root may read. */
export function readAsRoot(path) {
  return execFileSync(...asRoot('cat', [path]), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Gives a value to the steps that follow: as an output of the action and as an environment variable. */
export function report(output, variable, value) {
  append('GITHUB_OUTPUT', `${output}=${value}`);
  append('GITHUB_ENV', `${variable}=${value}`);
}

/** Puts a folder on the PATH of the steps that follow. */
export function reportPath(folder) {
  append('GITHUB_PATH', folder);
}

/** Adds a line to one of the files that a GitHub step reports through. */
function append(file, line) {
  const path = process.env[file];
  if (path !== undefined) appendFileSync(path, `${line}\n`);
}
