// SPDX-License-Identifier: Apache-2.0
import { BoolField, EnumField, IntField, LabelsField, ListField, ObjectField, StringField, TimeField } from '../../../common/dto/fields.js';
import { NETWORK_KINDS, type NetworkKind } from '../../../common/network.js';
import { LEASE_STATES, NETWORK_STATES } from '../network.js';

/** IPv4 side of a network. */
export class NetworkIpv4 {
  @StringField({ description: 'Subnet in CIDR notation.' }) subnet: string;
  @StringField({ description: 'Address of the host on it; also the DNS server of the guests.' }) gateway: string;
  @StringField({ description: 'First and last address that is given to machines.' }) dhcpRange: string;
}

/** Address of a machine on a network: reserved for it, or taken by its guest. */
export class LeaseDto {
  @StringField({ description: 'MAC address.' }) mac: string;
  @StringField({ description: 'IPv4 address.' }) ip: string;
  @StringField({ description: 'Name under which DNS knows it.', optional: true }) hostname?: string;
  @StringField({ description: 'Id of the machine.', optional: true }) machine?: string;
  @EnumField({
    description: '`reserved`: kept for the machine. `taken`: its guest has asked for it by DHCP and holds it.',
    values: LEASE_STATES,
  })
  state: string;
  @TimeField({ description: 'When a taken address falls back to reserved unless the guest renews it.', optional: true }) expiresAt?: string;
}

/** A network. */
export class NetworkDto {
  @StringField({ description: 'Id.' }) id: string;
  @StringField({ description: 'Unique name.' }) name: string;
  @EnumField({ description: 'Whom its machines reach.', values: NETWORK_KINDS }) kind: NetworkKind;
  @ObjectField(() => NetworkIpv4, { description: 'IPv4 addresses. Absent of the kind `bridge`.', optional: true }) ipv4?: NetworkIpv4;
  @StringField({ description: 'Name of its bridge on the host.' }) bridge: string;
  @IntField({
    description: 'MTU of its links. Absent: 1500, or that of the bridge of the host, and machines are not told.',
    optional: true,
  })
  mtu?: number;
  @StringField({ description: 'Domain of the names of its machines.' }) domain: string;
  @BoolField({ description: 'Whether its machines are kept from each other.' }) isolateMachines: boolean;
  @BoolField({
    description: 'Whether they may send from their own addresses alone. Of the network `default` not, unless it was asked for.',
  })
  antiSpoofing: boolean;
  @LabelsField({ description: 'Labels.' }) labels: Record<string, string>;
  @EnumField({ description: '`pending`: the host has it not, for no machine uses it. `ready`: the host has it.', values: NETWORK_STATES })
  state: string;
  @IntField({ description: 'Grows with each change of what was asked for; the ETag is `W/"<generation>"`.' }) generation: number;
  @TimeField({ description: 'When it was made.' }) createdAt: string;
  @TimeField({ description: 'When what was asked for was last changed.' }) updatedAt: string;
  @ListField(() => LeaseDto, { description: 'Addresses of its machines, in the order of the addresses.' }) leases: LeaseDto[];
}
