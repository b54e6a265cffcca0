// SPDX-License-Identifier: Apache-2.0
import { EnumField, IntField, NameField, StringField, TimeField } from '../../../common/dto/fields.js';
import { FORWARD_PROTOCOLS, type Forward, PORT_RANGE } from '../../../common/user-network.js';

const code = 'spec.forward_invalid';

/** A port of the host that leads to a machine on the network. */
export class AddForward {
  @EnumField({ description: 'What is forwarded.', values: FORWARD_PROTOCOLS }) protocol: Forward['protocol'];
  @StringField({
    description: 'IPv4 address of the host, not of its loopback. Default: all of them, for whoever reaches the host.',
    optional: true,
    maxLength: 15,
    pattern: /^\d{1,3}(\.\d{1,3}){3}$/,
    code,
    remedy: 'Give an IPv4 address that the host has, or leave it out for all of them.',
  })
  hostAddress?: string;
  @IntField({ description: 'Port of the host.', ...PORT_RANGE, code }) hostPort: number;
  @StringField({ description: 'Machine: id or name.', minLength: 1, maxLength: 128 }) machine: string;
  @NameField({ description: 'Interface of the machine on the network. Default: the only one.', optional: true }) interface?: string;
  @IntField({ description: 'Port of the guest.', ...PORT_RANGE, code }) guestPort: number;
}

/** A port of the host that leads to a machine on the network. */
export class NetworkForwardDto {
  @StringField({ description: 'Id.' }) id: string;
  @EnumField({ description: 'What is forwarded.', values: FORWARD_PROTOCOLS }) protocol: Forward['protocol'];
  @StringField({ description: 'IPv4 address of the host. Absent: all of them.', optional: true }) hostAddress?: string;
  @IntField({ description: 'Port of the host.' }) hostPort: number;
  @StringField({ description: 'Id of the machine.' }) machine: string;
  @StringField({ description: 'Name of its interface.' }) interface: string;
  @StringField({ description: 'IPv4 address of that interface.' }) address: string;
  @IntField({ description: 'Port of the guest.' }) guestPort: number;
  @TimeField({ description: 'When it was made.' }) createdAt: string;
}
