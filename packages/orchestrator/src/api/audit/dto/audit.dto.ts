// SPDX-License-Identifier: Apache-2.0
import { EnumField, IntField, StringField, TimeField } from '../../../common/dto/fields.js';

export const AUDIT_OUTCOMES = ['done', 'denied', 'refused', 'failed'] as const;
export type AuditOutcome = (typeof AUDIT_OUTCOMES)[number];

/** One attempt to change something. */
export class AuditDto {
  @StringField({ description: 'Id; sorts by time.' }) id: string;
  @TimeField({ description: 'When.' }) time: string;
  @StringField({ description: 'Name of the API key; `anonymous` without a valid one.' }) actor: string;
  @StringField({ description: 'Id of the API key.', optional: true }) actorId?: string;
  @StringField({ description: 'Permission the route needs; `unknown` when the request was refused before its route was known.' })
  permission: string;
  @StringField({ description: 'Method; `GET` for a console that was opened to type on it.' }) method: string;
  @StringField({ description: 'Path.' }) path: string;
  @EnumField({ description: 'How it ended: denied for 401 and 403.', values: AUDIT_OUTCOMES }) outcome: string;
  @IntField({ description: 'HTTP status.' }) status: number;
  @StringField({ description: 'Error code.', optional: true }) code?: string;
  @StringField({ description: 'Request id.' }) requestId: string;
}
