// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Validator } from '@seriousme/openapi-schema-validator';
import { expect } from 'chai';
import { KEEP_IDEMPOTENCY_HOURS } from '../api/idempotency/idempotency.store.js';
import { DocumentBuilder } from './document.js';
import { packageVersion } from './version.js';

const TOP = join(dirname(fileURLToPath(import.meta.url)), '../../../../..');
const COMMITTED = join(TOP, 'openapi/flotilla.v1.json');
const GUIDE = join(TOP, 'docs/api.md');

describe('the API document', () => {
  const document = new DocumentBuilder().build(packageVersion()) as {
    paths: Record<string, Record<string, { summary?: string; responses: Record<string, unknown> }>>;
    components: { schemas: object };
  };

  it('is committed as the code emits it (npm run openapi)', () => {
    expect(JSON.parse(readFileSync(COMMITTED, 'utf8'))).to.deep.equal(JSON.parse(JSON.stringify(document)));
  });

  it('is valid by the schema of OpenAPI 3.1', async () => {
    const validator = new Validator();
    const { valid, errors } = await validator.validate(structuredClone(document));
    expect(errors ?? []).to.deep.equal([]);
    expect([valid, validator.version]).to.deep.equal([true, '3.1']);
    const broken = { ...structuredClone(document), info: {} };
    expect((await new Validator().validate(broken)).valid).to.equal(false);
  });

  it('and the guide tell how long the answers to idempotency keys are kept', () => {
    const told = [...JSON.stringify(document).matchAll(/as the first one did; kept for (\d+) hours/g)].map((found) => Number(found[1]));
    expect(new Set(told)).to.deep.equal(new Set([KEEP_IDEMPOTENCY_HOURS]));
    expect(readFileSync(GUIDE, 'utf8')).to.contain(`the same key gives the same answer for ${KEEP_IDEMPOTENCY_HOURS} hours`);
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
