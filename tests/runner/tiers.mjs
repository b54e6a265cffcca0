// SPDX-License-Identifier: Apache-2.0
// The tiers, in the order they run: cheap and telling first.
import { guestTier } from './guest-tier.mjs';

/**
 * @typedef {object} Command
 * @property {string[]} argv    program and arguments, run in the top folder
 * @property {'cargo' | 'mocha'} counts  how its tests are counted
 * @property {Record<string, string>} [env]
 * @property {boolean} [inLab]  run inside the lab
 */

/** @type {Array<{ name: string, what: string, commands: () => Command[] | Promise<Command[]> }>} */
export const tiers = [
  {
    name: 'style',
    what: 'formatting, lints, layering, generated files, links in docs',
    commands: () => [mocha('tests/style/*.spec.mjs', { timeout: 900_000 })],
  },
  {
    name: 'unit',
    what: 'Rust and TypeScript, beside the source',
    commands: () => [
      { argv: ['cargo', 'test', '--workspace', '--locked', '--no-fail-fast', '--', '--show-output'], counts: 'cargo' },
      mocha('packages/{orchestrator,sdk,cli}/dist/src/**/*.spec.js'),
      mocha('lab/**/*.spec.mjs', { timeout: 300_000 }),
      mocha('scripts/**/*.spec.mjs'),
    ],
  },
  {
    name: 'native',
    what: 'the addon with bare-metal guests on any /dev/kvm',
    commands: () => [mocha('packages/native/dist/test/**/*.test.js', { timeout: 120_000 })],
  },
  {
    name: 'api',
    what: 'SDK, CLI, orchestrator and a fake hypervisor, on SQLite and PostgreSQL',
    commands: () => [mocha('packages/{orchestrator,sdk,cli}/dist/test/**/*.test.js', { timeout: 180_000 })],
  },
  {
    name: 'guest',
    what: 'real Linux guests through SDK, orchestrator and worker; in the lab where there is no hardware KVM',
    commands: guestTier,
  },
  {
    name: 'package',
    what: 'what a user installs: packed tarballs in clean projects',
    commands: () => [mocha('tests/package/*.spec.mjs', { timeout: 600_000 })],
  },
];

/** A mocha run whose totals the reporter beside this file writes. */
function mocha(pattern, { timeout = 60_000 } = {}) {
  return {
    argv: ['npx', '--no-install', 'mocha', '--reporter', 'tests/runner/mocha-reporter.cjs', '--timeout', String(timeout), pattern],
    counts: 'mocha',
  };
}
