// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { DocumentBuilder } from './document.js';
import { packageVersion } from './version.js';

const target = process.argv[2];
if (target === undefined) throw new Error('Give the path of the document to write');
writeFileSync(resolve(target), `${JSON.stringify(new DocumentBuilder().build(packageVersion()), null, 2)}\n`);
