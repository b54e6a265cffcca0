// SPDX-License-Identifier: Apache-2.0
// The steps of GitHub workflows and composite actions, for tests that run or account for them.
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

/**
 * @typedef {object} Step
 * @property {string} [name]
 * @property {string} [id]
 * @property {string} [run]  shell lines
 * @property {string} [uses]
 * @property {Record<string, string>} [with]
 * @property {Record<string, string>} [env]
 */

/** @returns {Step[]} every step of the file, in order */
export function stepsOf(path) {
  const { jobs, runs } = parse(readFileSync(path, 'utf8'));
  return jobs === undefined ? (runs?.steps ?? []) : Object.values(jobs).flatMap(({ steps }) => steps ?? []);
}

/** Shell lines of the file, one for each command; a line that ends in a backslash goes on. */
export function shellLines(path) {
  return stepsOf(path).flatMap(({ run }) =>
    (run ?? '')
      .replaceAll(/\\\n\s*/g, '')
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean),
  );
}

/** The shell lines of the step with this name or id. */
export function runOf(path, nameOrId) {
  const step = stepsOf(path).find(({ name, id }) => name === nameOrId || id === nameOrId);
  if (step?.run === undefined) throw new Error(`${path} has no step ${nameOrId} that runs a command`);
  return step.run;
}
