// SPDX-License-Identifier: Apache-2.0
// Type-aware rules that Biome does not have: promises, exhaustive switches, and the borders between the parts.
import tseslint from 'typescript-eslint';

const border = (files, patterns) => ({ files, rules: { 'no-restricted-imports': ['error', { patterns }] } });

const noHost = { group: ['@flotilla/native', '**/agent/**'], message: 'Only src/agent touches the host.' };

export default [
  { ignores: ['**/dist/**', '**/node_modules/**', '**/*.gen.ts', '**/generated/**', 'target/**', 'packages/native/index.*'] },
  {
    files: ['packages/*/src/**/*.ts', 'packages/*/test/**/*.ts', 'tests/guest/**/*.ts'],
    languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    plugins: { '@typescript-eslint': tseslint.plugin },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
    },
  },
  border(['packages/orchestrator/src/{api,http,database,common,host-agent}/**/*.ts'], [noHost]),
  // A later entry replaces an earlier one for the same file, so this one repeats what holds for all of the API.
  border(
    ['packages/orchestrator/src/**/*.controller.ts'],
    [noHost, { group: ['**/*.repository.js'], message: 'Controllers declare and call one service; they know no repository.' }],
  ),
  border(
    ['packages/orchestrator/src/agent/**/*.ts'],
    [{ group: ['**/api/**', '**/database/**', '**/http/**'], message: 'The host side knows nothing of the API.' }],
  ),
  border(['packages/sdk/src/**/*.ts'], [{ group: ['@flotilla/*'], message: 'The SDK imports nothing from the workspace.' }]),
];
