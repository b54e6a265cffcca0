// SPDX-License-Identifier: Apache-2.0
import { ERROR_CODES } from '../error-codes.js';
import { EnumField, IntField, ListField, StringField } from './fields.js';

const CODES = Object.keys(ERROR_CODES);

/** One field at fault. */
export class FieldProblem {
  @EnumField({ description: 'Stable code of the fault.', values: CODES }) code: string;
  @StringField({ description: 'JSON path of the field, for example `disks[0].image`.' }) field: string;
  @StringField({ description: 'What is wrong with it.' }) detail: string;
  @StringField({ description: 'How to mend it.' }) remedy: string;
}

/** Problem document (RFC 9457). */
export class Problem {
  @StringField({ description: 'URI of the kind of problem.' }) type: string;
  @StringField({ description: 'Short text for the kind of problem.' }) title: string;
  @IntField({ description: 'HTTP status.' }) status: number;
  @EnumField({ description: 'Stable code; decide by it, never by the texts.', values: CODES }) code: string;
  @StringField({ description: 'What went wrong in this case.' }) detail: string;
  @StringField({ description: 'Field at fault, as a JSON path.', optional: true }) field?: string;
  @StringField({ description: 'What to do about it.' }) remedy: string;
  @StringField({ description: 'Id of the request, as in the header X-Request-Id.', optional: true }) requestId?: string;
  @ListField(() => FieldProblem, { description: 'Every field at fault.', optional: true }) errors?: FieldProblem[];
}
