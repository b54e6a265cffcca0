// SPDX-License-Identifier: Apache-2.0
// The folder of the CommonJS build says what it holds; the package itself is ESM.
import { writeFileSync } from 'node:fs';

writeFileSync(new URL('../dist/cjs/package.json', import.meta.url), `${JSON.stringify({ type: 'commonjs' })}\n`);
