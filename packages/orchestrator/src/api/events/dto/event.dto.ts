// SPDX-License-Identifier: Apache-2.0
import { CustomField, EnumField, IntField, ObjectField, QueryIntField, StringField, TimeField } from '../../../common/dto/fields.js';
import { EVENT_KINDS } from '../../../common/event.js';
import { TargetDto } from '../../operations/dto/operation.dto.js';

/** Something that happened. */
export class EventDto {
  @IntField({ description: 'Sequence number; give the last one as Last-Event-ID to go on after it.' }) id: number;
  @EnumField({ description: 'What happened.', values: EVENT_KINDS }) kind: string;
  @TimeField({ description: 'When.' }) time: string;
  @ObjectField(() => TargetDto, { description: 'To what.' }) target: TargetDto;
  @CustomField({ description: 'More about it, by kind.', schema: { type: 'object', additionalProperties: true } }) data: Record<
    string,
    unknown
  >;
  @StringField({ description: 'Request that caused it.', optional: true }) requestId?: string;
}

/** Query of the event stream. */
export class EventQuery {
  @QueryIntField({
    description: 'Begin after the event of this number; without it the stream begins now.',
    optional: true,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    code: 'request.invalid_query',
  })
  after?: number;
  @StringField({
    description: 'Only these kinds, separated by commas; `machine.*` stands for all of a group.',
    optional: true,
    maxLength: 1024,
    pattern: /^[a-z_.*,]+$/,
    code: 'request.invalid_query',
  })
  kinds?: string;
  @StringField({ description: 'Only events of the resource of this id.', optional: true, maxLength: 64, code: 'request.invalid_query' })
  target?: string;
}
