// SPDX-License-Identifier: Apache-2.0
import { BoolField, StringField } from '../../../common/dto/fields.js';
import { MAX_SHARE_PATH, TAG_PATTERN } from '../../../common/shared-folder.js';

/** A folder of the host that the guest mounts. */
export class ShareDto {
  @StringField({
    description: 'What the guest mounts it by: `mount -t virtiofs TAG PLACE`.',
    minLength: 1,
    maxLength: 36,
    pattern: TAG_PATTERN,
    code: 'spec.share_invalid',
    remedy: 'Use 1 to 36 letters, digits, "-", "_" or ".", the first a letter or digit.',
  })
  tag: string;
  @StringField({
    description: 'Absolute path of the folder on the host, below one of those that the host lets machines share.',
    minLength: 1,
    maxLength: MAX_SHARE_PATH,
    pattern: /^\/[^\0]*$/,
    code: 'spec.share_invalid',
    remedy: 'Give an absolute path.',
  })
  path: string;
  @BoolField({ description: 'Whether the guest may only read it.', optional: true, default: false }) readOnly?: boolean;
}
