// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const DOCUMENT = join(dirname(fileURLToPath(import.meta.url)), '../../../../../openapi/flotilla.v1.json');
const MUTATIONS = ['post', 'put', 'patch', 'delete'];

/** An operation of the API document with what tests go by. */
export interface DocumentedOperation {
  id: string;
  method: string;
  path: string;
  permission: string | undefined;
  /** Names of query parameters and headers. */
  parameters: string[];
}

interface Documented {
  operationId: string;
  'x-permission'?: string;
  parameters: { name: string; in: string }[];
  responses: Record<string, { content?: Record<string, { schema?: unknown }> }>;
}

/** The API document, as far as tests read it. */
export interface ApiDocument {
  paths: Record<string, Record<string, Documented>>;
}

let document: ApiDocument | undefined;

export function apiDocument(): ApiDocument {
  document ??= JSON.parse(readFileSync(DOCUMENT, 'utf8')) as ApiDocument;
  return document;
}

/** Every operation of the API document. */
export function documentedOperations(): DocumentedOperation[] {
  return Object.entries(apiDocument().paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      id: operation.operationId,
      method: method.toUpperCase(),
      path,
      permission: operation['x-permission'],
      parameters: operation.parameters.filter((one) => one.in !== 'path').map((one) => one.name),
    })),
  );
}

/** Those that change something. */
export function documentedMutations(): DocumentedOperation[] {
  return documentedOperations().filter((one) => MUTATIONS.includes(one.method.toLowerCase()));
}
