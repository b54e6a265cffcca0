// SPDX-License-Identifier: Apache-2.0
// Holds every answer that a test gets against the API document.
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { apiDocument } from './api-document.js';

const DATE_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const SCHEMAS = 'api';

const ajv = new Ajv2020({ strict: false, allErrors: true, validateSchema: false });
ajv.addFormat('date-time', DATE_TIME).addFormat('binary', true);
ajv.addSchema(apiDocument(), SCHEMAS);

const templates = Object.keys(apiDocument().paths).map((path) => ({
  path,
  pattern: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`),
}));

/**
 * Throws unless the document has this answer: its status, its kind of content, and of JSON each field. What is not an operation of the API
 * is no matter of the document, but its refusal is a problem like any other.
 */
export function requireDocumented(method: string, target: string, answer: { status: number; type: string | null; body: unknown }): void {
  const path = target.split('?')[0] ?? '';
  const found = templates.filter(({ pattern }) => pattern.test(path)).sort((a, b) => variables(a.path) - variables(b.path))[0];
  const operation = found && apiDocument().paths[found.path]?.[method.toLowerCase()];
  const what = `${method} ${target} → ${answer.status}`;
  const type = answer.type?.split(';')[0]?.trim() ?? '';
  if (type === 'application/problem+json') requireValid(what, '#/components/schemas/Problem', answer.body);
  if (type === 'application/problem+json' || found === undefined || operation === undefined) return;
  const documented = operation.responses[answer.status];
  if (documented === undefined) throw new Error(`${what}: the API document has no such status`);
  if (type === '' && documented.content === undefined) return;
  if (documented.content?.[type] === undefined) throw new Error(`${what}: the API document has no content of type "${type}" there`);
  if (type !== 'application/json' || documented.content[type].schema === undefined) return;
  const pointer = ['paths', found.path, method.toLowerCase(), 'responses', answer.status, 'content', type, 'schema'];
  requireValid(what, `#/${pointer.map((part) => String(part).replaceAll('~', '~0').replaceAll('/', '~1')).join('/')}`, answer.body);
}

const compiled = new Map<string, ValidateFunction>();

function requireValid(what: string, pointer: string, body: unknown): void {
  const validate = compiled.get(pointer) ?? ajv.compile({ $ref: `${SCHEMAS}${pointer}` });
  compiled.set(pointer, validate);
  if (validate(body)) return;
  throw new Error(`${what} is not as the API document says: ${ajv.errorsText(validate.errors)}\n${JSON.stringify(body)}`);
}

function variables(path: string): number {
  return path.split('{').length;
}
