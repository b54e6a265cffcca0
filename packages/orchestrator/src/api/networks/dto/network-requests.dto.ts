// SPDX-License-Identifier: Apache-2.0
import { BoolField, EnumField, IntField, LabelsField, NameField, ObjectField, StringField } from '../../../common/dto/fields.js';
import { PARENT_PATTERN } from '../../../common/macvtap.js';
import { DEFAULT_DOMAIN, DOMAIN_PATTERN, NETWORK_KINDS, NETWORK_MTU_RANGE, type NetworkKind } from '../../../common/network.js';

const ADDRESS = '\\d{1,3}(\\.\\d{1,3}){3}';
const code = 'network.subnet_invalid';

/** Addresses of a new network. */
export class DefineNetworkIpv4 {
  @StringField({
    description:
      'Subnet with a prefix of 16 to 30 bits, by its first address. Private, but of the kind `routed`. Absent: one that is free is chosen.',
    optional: true,
    maxLength: 18,
    pattern: new RegExp(`^${ADDRESS}/\\d{1,2}$`),
    code,
    remedy: 'Give a subnet such as 10.90.0.0/24.',
  })
  subnet?: string;
  @StringField({
    description: 'Address of the host on it. Default: the first one.',
    optional: true,
    maxLength: 15,
    pattern: new RegExp(`^${ADDRESS}$`),
    code,
    remedy: 'Give an IPv4 address of the subnet.',
  })
  gateway?: string;
  @StringField({
    description: 'First and last address that machines are given. Default: all of the subnet.',
    optional: true,
    maxLength: 31,
    pattern: new RegExp(`^${ADDRESS}-${ADDRESS}$`),
    code,
    remedy: 'Give FIRST-LAST, for example 10.90.0.100-10.90.0.199.',
  })
  dhcpRange?: string;
}

function DomainField(): PropertyDecorator {
  return StringField({
    description: 'Domain of the names of its machines, which DNS knows on the network: `<machine>.<domain>`. Lower case.',
    optional: true,
    maxLength: 180,
    pattern: DOMAIN_PATTERN,
    default: DEFAULT_DOMAIN,
    remedy: 'Give labels of lower-case letters, digits and hyphens with dots between, such as lab.internal.',
  });
}

const ISOLATE = 'Whether machines are kept from each other, and reach only what is beyond them';
const ANTI_SPOOFING =
  'Whether machines may send only from the MAC address of their interface and the IPv4 address that is kept for it; IPv6 stays on the link. ' +
  'A bridge or containers with addresses of their own in a guest need it off';

const MTU = 'MTU of its links, which machines are told of by their interfaces and by DHCP';

/** A new network. */
export class DefineNetwork {
  @NameField({ description: 'Name, unique among networks.' }) name: string;
  @EnumField({
    description:
      '`nat`: machines reach the outside under the address of the host, and nobody outside reaches them. `isolated`: they reach each other, ' +
      'DHCP and DNS of their own names, and nothing else. `routed`: packets pass both ways with the addresses that they have. `bridge`: they ' +
      'are on a bridge that the host has, without DHCP and rules of ours; machines on it are for administrators.',
    values: NETWORK_KINDS,
  })
  kind: NetworkKind;
  @ObjectField(() => DefineNetworkIpv4, { description: 'IPv4 addresses. Default: chosen.', optional: true }) ipv4?: DefineNetworkIpv4;
  @StringField({
    description: 'Of the kind `bridge`: name of the bridge. Whoever runs the host names those that guests may be on.',
    optional: true,
    maxLength: 15,
    pattern: PARENT_PATTERN,
    code: 'network.config_invalid',
    remedy: 'Give the name that `ip link show type bridge` shows.',
  })
  bridge?: string;
  @IntField({ description: `${MTU}. Absent: 1500, and nobody is told.`, optional: true, ...NETWORK_MTU_RANGE }) mtu?: number;
  @DomainField() domain?: string;
  @BoolField({ description: `${ISOLATE}.`, optional: true, default: false }) isolateMachines?: boolean;
  @BoolField({ description: `${ANTI_SPOOFING}.`, optional: true, default: true }) antiSpoofing?: boolean;
  @LabelsField({ optional: true }) labels?: Record<string, string>;
}

/** What can be changed of a network. */
export class UpdateNetwork {
  @IntField({
    description: `${MTU}; null: 1500, and nobody is told. Machines that run keep to what they were told until they ask again.`,
    optional: true,
    nullable: true,
    ...NETWORK_MTU_RANGE,
  })
  mtu?: number | null;
  @DomainField() domain?: string;
  @BoolField({ description: `${ISOLATE}.`, optional: true }) isolateMachines?: boolean;
  @BoolField({ description: `${ANTI_SPOOFING}.`, optional: true }) antiSpoofing?: boolean;
  @LabelsField({ description: 'Replaces all labels.', optional: true }) labels?: Record<string, string>;
}
