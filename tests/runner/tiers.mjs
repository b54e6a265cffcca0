// SPDX-License-Identifier: Apache-2.0
// The tiers, in the order they run: cheap and telling first.
import { availableParallelism } from 'node:os';

import { guestTier } from './guest-tier.mjs';
import { MOCHA } from './mocha.mjs';

/**
 * @typedef {object} Command
 * @property {string[]} argv    program and arguments, run in the top folder
 * @property {'cargo' | 'mocha'} counts  how its tests are counted
 * @property {Record<string, string>} [env]
 * @property {string} [besides]  runs beside others that have one, its lines marked with this name
 */

/** The TypeScript packages that need no addon to be tested. */
const packages = ['sdk', 'cli', 'orchestrator'];

/** @typedef {{ name: string, what: string, commands: () => Command[] | Promise<Command[]> }} Tier */

/** @type {Tier[]} */
export const tiers = [
  {
    name: 'style',
    what: 'formatting, lints, layering, generated files, links in docs',
    commands: () => [mocha(['tests/style/*.spec.mjs'], { timeout: 900_000, parallel: true })],
  },
  {
    name: 'unit',
    what: 'Rust and TypeScript, beside the source',
    commands: () => [
      { argv: ['cargo', 'test', '--workspace', '--locked', '--no-fail-fast', '--', '--show-output'], counts: 'cargo', besides: 'rust' },
      mocha(
        packages.map((name) => `packages/${name}/dist/src/**/*.spec.js`),
        { besides: 'typescript' },
      ),
      mocha(['tests/runner/*.spec.mjs', 'lab/*.spec.mjs', 'guest/*.spec.mjs', 'bench/**/*.spec.mjs', 'scripts/**/*.spec.mjs'], {
        besides: 'scripts',
      }),
      mocha(['fuzz/*.spec.mjs'], { besides: 'fuzz' }),
    ],
  },
  {
    name: 'native',
    what: 'the addon with bare-metal guests on any /dev/kvm',
    commands: () => [mocha(['packages/native/dist/test/**/*.test.js'], { timeout: 120_000, parallel: true })],
  },
  {
    name: 'api',
    what: 'SDK, CLI, orchestrator and a fake hypervisor, on SQLite and PostgreSQL; bare-metal guests where there is a /dev/kvm',
    commands: () => [
      mocha(
        packages.map((name) => `packages/${name}/dist/test/**/*.test.js`),
        { timeout: 180_000, parallel: true },
      ),
    ],
  },
  {
    name: 'guest',
    what: 'real Linux guests through SDK, orchestrator and worker; in the lab where there is no hardware KVM',
    commands: guestTier,
  },
  {
    name: 'package',
    what: 'what a user installs: packed tarballs in clean projects',
    commands: () => [mocha(['tests/package/*.spec.mjs'], { timeout: 600_000 })],
  },
];

/**
 * A mocha run whose totals the reporter beside this file writes. In parallel each file runs in one of several processes, one more than there
 * are processors: these tests wait for half of their time.
 * @param {string[]} patterns  each an argument of its own: mocha expands `*`, no shell does
 */
function mocha(patterns, { timeout = 60_000, parallel = false, besides = undefined } = {}) {
  const jobs = parallel ? ['--parallel', '--jobs', String(availableParallelism() + 1)] : [];
  return {
    argv: [...MOCHA, '--timeout', String(timeout), ...jobs, ...patterns],
    counts: 'mocha',
    besides,
  };
}
