// SPDX-License-Identifier: Apache-2.0
import { CustomField, StringField } from '../../../common/dto/fields.js';
import { CLOUD_INIT_TEXT, isSshKey, MAX_CLOUD_INIT_TEXT, MAX_SSH_KEY, MAX_SSH_KEYS } from '../../../common/cloud-init.js';

/** What cloud-init does in the guest at its first start; a disk with the label CIDATA tells it (data source NoCloud). */
export class CloudInitDto {
  @StringField({
    description:
      'User data as cloud-init takes it: `#cloud-config`, a script that begins with `#!`, or a MIME archive. Shown to those alone who may change machines.',
    optional: true,
    minLength: 1,
    maxLength: MAX_CLOUD_INIT_TEXT,
    pattern: CLOUD_INIT_TEXT,
    code: 'spec.cloud_init_invalid',
  })
  userData?: string;
  @StringField({
    description:
      'Network configuration, version 1 or 2. Absent: cloud-init asks DHCP on the first interface. Shown to those alone who may change machines.',
    optional: true,
    minLength: 1,
    maxLength: MAX_CLOUD_INIT_TEXT,
    pattern: CLOUD_INIT_TEXT,
    code: 'spec.cloud_init_invalid',
  })
  networkConfig?: string;
  @CustomField({
    description:
      'Public keys that may log in as the default user of the image, each a line as in `authorized_keys`, without options; at most 64.',
    optional: true,
    schema: { type: 'array', maxItems: MAX_SSH_KEYS, items: { type: 'string', maxLength: MAX_SSH_KEY } },
    check: isListOfKeys,
    code: 'spec.cloud_init_invalid',
    remedy: 'Give lines of public keys such as "ssh-ed25519 AAAA... me@here", at most 64.',
  })
  sshKeys?: string[];
}

function isListOfKeys(value: unknown): boolean {
  return Array.isArray(value) && value.length <= MAX_SSH_KEYS && value.every((key) => typeof key === 'string' && isSshKey(key));
}
