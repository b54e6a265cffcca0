// SPDX-License-Identifier: Apache-2.0
import { EnumField, IntField, ListField, StringField } from '../../../common/dto/fields.js';
import { FORWARD_PROTOCOLS, type Forward, MAX_ADDRESS, MAX_FORWARDS, PORT_RANGE } from '../../../common/user-network.js';

/** A port of the host that leads into the guest. */
export class ForwardDto {
  @EnumField({ description: 'What is forwarded.', values: FORWARD_PROTOCOLS }) protocol: Forward['protocol'];
  @StringField({
    description: 'IPv4 or IPv6 address of the host to listen at. Default: 127.0.0.1, which only the host itself reaches.',
    optional: true,
    minLength: 2,
    maxLength: MAX_ADDRESS,
    code: 'spec.forward_invalid',
  })
  hostAddress?: string;
  @IntField({
    description: 'Port of the host. A machine forwards each port of a protocol once.',
    ...PORT_RANGE,
    code: 'spec.forward_invalid',
  })
  hostPort: number;
  @IntField({ description: 'Port of the guest.', ...PORT_RANGE, code: 'spec.forward_invalid' }) guestPort: number;
}

/** User-mode networking: a passt process on the host speaks for the guest, and needs no privilege. */
export class UserNetworkDto {
  @ListField(() => ForwardDto, {
    description: 'Ports of the host that lead into the guest; at most 64. Default: none, and nobody reaches the guest.',
    optional: true,
    max: MAX_FORWARDS,
    code: 'spec.forward_invalid',
  })
  forwards?: ForwardDto[];
}
