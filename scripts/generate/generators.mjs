// SPDX-License-Identifier: Apache-2.0
// What is generated from what. `npm run gen` runs them all; a style test proves the committed files up to date.
import { readdirSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const top = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/**
 * In order: a later one reads what an earlier one wrote. What is made `byBuild` needs no run after a build: the first one after that of a
 * clean clone would compile the addon once more.
 * @type {Array<{ name: string, argv: string[], env?: Record<string, string>, byBuild?: boolean, files: () => string[] }>}
 */
export const generators = [
  {
    name: 'TypeScript types and JSON schema of the machine specification, and the list of metrics, from crates/spec',
    argv: ['cargo', 'test', '--quiet', '--locked', '-p', 'flotilla-spec'],
    env: { FLOTILLA_GENERATE: '1' },
    files: () => [
      ...filesIn('packages/native/src/generated'),
      ...filesIn('crates/spec/schema'),
      'packages/orchestrator/src/host-agent/metrics.gen.ts',
      'docs/metrics-list.md',
    ],
  },
  {
    name: 'loader and types of the addon, from crates/node',
    argv: ['npm', 'run', '--silent', 'build:addon', '-w', '@flotilla/native'],
    byBuild: true,
    files: () => ['packages/native/index.js', 'packages/native/index.d.ts'],
  },
  {
    name: 'OpenAPI document, from packages/orchestrator',
    argv: ['npm', 'run', '--silent', 'openapi'],
    files: () => filesIn('openapi'),
  },
  {
    name: 'SDK types, from the OpenAPI document',
    argv: ['npm', 'run', '--silent', 'generate', '-w', '@flotilla/sdk'],
    files: () => ['packages/sdk/src/schema.gen.ts'],
  },
];

function filesIn(folder) {
  const absolute = join(top, folder);
  return readdirSync(absolute, { recursive: true })
    .map((name) => join(absolute, name))
    .filter((path) => statSync(path).isFile())
    .map((path) => relative(top, path));
}
