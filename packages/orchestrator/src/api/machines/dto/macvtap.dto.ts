// SPDX-License-Identifier: Apache-2.0
import { EnumField, StringField } from '../../../common/dto/fields.js';
import { MACVTAP_MODES, type MacvtapMode, PARENT_PATTERN } from '../../../common/macvtap.js';

/** A link of the host that the guest is on beside the host, with a MAC address of its own. */
export class MacvtapDto {
  @StringField({
    description: 'Name of the link; whoever runs the host names those that guests may be on (`flotilla up --macvtap-parent`).',
    minLength: 1,
    maxLength: 15,
    pattern: PARENT_PATTERN,
  })
  parent: string;
  @EnumField({
    description: '`bridge`: interfaces on one link reach each other. `vepa`: by the switch behind it alone. `private`: not at all.',
    optional: true,
    values: MACVTAP_MODES,
    default: 'bridge',
  })
  mode?: MacvtapMode;
}
