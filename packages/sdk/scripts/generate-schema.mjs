// SPDX-License-Identifier: Apache-2.0
// src/schema.gen.ts: the types of the committed OpenAPI document, and nothing else.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient } from '@hey-api/openapi-ts';

const document = fileURLToPath(new URL('../../../openapi/flotilla.v1.json', import.meta.url));
const target = fileURLToPath(new URL('../src/schema.gen.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'flotilla-schema-'));
try {
  await createClient({
    input: document,
    output: { path: folder, clean: true },
    plugins: ['@hey-api/typescript'],
    logs: { level: 'error' },
  });
  const types = readFileSync(join(folder, 'types.gen.ts'), 'utf8').replace(/^\/\/ This file is auto-generated.*\n/, '');
  writeFileSync(
    target,
    `// SPDX-License-Identifier: Apache-2.0\n// Generated from openapi/flotilla.v1.json by \`npm run gen\`: do not edit.\n${types}`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
