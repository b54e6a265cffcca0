// SPDX-License-Identifier: Apache-2.0
import { NAME_PATTERN } from '../names.js';
import { QueryIntField, StringField } from './fields.js';

/** Query of every paged list. */
export class PageQuery {
  @QueryIntField({ description: 'Rows on a page, 1 to 200.', min: 1, max: 200, default: 50, optional: true, code: 'request.invalid_query' })
  limit?: number;

  @StringField({ description: 'The `nextCursor` of the page before.', optional: true, maxLength: 512, code: 'request.invalid_cursor' })
  cursor?: string;
}

/** Query of a paged list of named resources. */
export class NamedQuery extends PageQuery {
  @StringField({
    description: 'Only the row of this name.',
    optional: true,
    pattern: NAME_PATTERN,
    maxLength: 63,
    code: 'request.invalid_query',
  })
  name?: string;
}

/** Query of a paged list of named resources that carry labels. */
export class LabelledQuery extends NamedQuery {
  @StringField({
    description: 'Only rows that have all these labels: `key=value,key2=value2`.',
    optional: true,
    maxLength: 2048,
    code: 'request.invalid_query',
  })
  labels?: string;
}
