// SPDX-License-Identifier: Apache-2.0
import { EnumField } from '../../../common/dto/fields.js';

/** Health of the process. */
export class Health {
  @EnumField({ description: '`ok`, or `starting` until everything was adopted.', values: ['ok', 'starting'] }) status: string;
}
