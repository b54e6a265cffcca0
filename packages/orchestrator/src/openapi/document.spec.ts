// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { DocumentBuilder } from './document.js';

const COMMITTED = join(dirname(fileURLToPath(import.meta.url)), '../../../../../openapi/flotilla.v1.json');

describe('the API document', () => {
  const document = new DocumentBuilder().build('1.0.0') as {
    paths: Record<string, Record<string, { summary?: string; responses: Record<string, unknown> }>>;
    components: { schemas: object };
  };

  it('is committed as the code emits it (npm run openapi)', () => {
    expect(JSON.parse(readFileSync(COMMITTED, 'utf8'))).to.deep.equal(JSON.parse(JSON.stringify(document)));
  });

  it('gives every route a summary and its error answers', () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        expect(operation.summary, `${method} ${path}`).to.be.a('string');
        expect(operation.responses, `${method} ${path}`).to.include.keys('500', '401');
      }
    }
  });

  it('points at no schema that is not there', () => {
    const names = [...JSON.stringify(document).matchAll(/#\/components\/schemas\/(\w+)/g)].map((match) => match[1]);
    expect(Object.keys(document.components.schemas)).to.include.members(names as string[]);
  });
});
