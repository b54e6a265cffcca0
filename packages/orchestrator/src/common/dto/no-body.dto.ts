// SPDX-License-Identifier: Apache-2.0
import { ValidateBy } from 'class-validator';

/** Body of actions that take nothing: absent, or an empty object. */
export class NoBody {
  /** class-validator lets anything pass a class without a check, so there is one. */
  @ValidateBy(
    { name: 'nothing', validator: { validate: (value) => value === undefined } },
    { message: '$property is not a known field', context: { code: 'request.unknown_field', remedy: 'Send an empty object.' } },
  )
  nothing?: undefined;
}
