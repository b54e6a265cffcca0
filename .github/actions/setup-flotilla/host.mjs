// SPDX-License-Identifier: Apache-2.0
// What both steps of the action share.
import { spawnSync } from 'node:child_process';
import { appendFileSync } from 'node:fs';

/** Runs a program with its output shown; a failure ends the step. */
export function run(program, args, options = {}) {
  console.log(`+ ${program} ${args.join(' ')}`);
  const { status, error } = spawnSync(program, args, { stdio: 'inherit', ...options });
  if (error) throw error;
  if (status !== 0) throw new Error(`${program} ended with status ${status}`);
}

/** The same as root: GitHub's runners have sudo without a password, containers are root already. */
export function runAsRoot(program, args) {
  if (process.getuid?.() === 0) run(program, args);
  else run('sudo', ['--non-interactive', '--preserve-env', program, ...args]);
}

/** Appends `name=value` to one of the files a GitHub step reports through. */
export function report(file, name, value) {
  const path = process.env[file];
  if (path !== undefined) appendFileSync(path, `${name}=${value}\n`);
}

/** Puts a folder on the PATH of the steps that follow. */
export function reportPath(folder) {
  const path = process.env.GITHUB_PATH;
  if (path !== undefined) appendFileSync(path, `${folder}\n`);
}
