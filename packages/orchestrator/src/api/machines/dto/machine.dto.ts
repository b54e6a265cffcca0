// SPDX-License-Identifier: Apache-2.0
import {
  BoolField,
  CustomField,
  EnumField,
  IntField,
  LabelsField,
  ListField,
  ObjectField,
  StringField,
  TimeField,
} from '../../../common/dto/fields.js';
import { currentContext } from '../../../common/context.js';
import { roleAllows } from '../../auth/roles.js';
import { DESIRED_STATES, MACHINE_STATES, type Machine, type MachineAddress, type MachineSpec } from '../machine.js';
import { MachineSpecDto } from './machine-spec.dto.js';

/** Why a machine is in the state it is in. */
export class StateReasonDto {
  @StringField({ description: 'Stable code, for example `worker.gone` or `guest.panic`.' }) code: string;
  @StringField({ description: 'What happened.' }) detail: string;
  @StringField({ description: 'What to do about it.' }) remedy: string;
  @CustomField({
    description:
      'Registers at that moment of the CPU that `detail` names, as hexadecimal texts. Absent where they are lost: at a triple fault KVM on processors by AMD resets the CPU first.',
    optional: true,
    schema: { type: 'object', additionalProperties: { type: 'string' } },
  })
  registers?: Record<string, string>;
}

/** State that was asked for. */
export class DesiredDto {
  @EnumField({ description: 'State asked for.', values: DESIRED_STATES }) state: string;
  @IntField({ description: 'Grows with each change of the desired state.' }) generation: number;
}

/** IPv4 address that a guest has taken by DHCP. */
export class AddressLeaseDto {
  @StringField({ description: 'IPv4 address.' }) ip: string;
  @TimeField({ description: 'When the lease ends unless the guest renews it.' }) expiresAt: string;
  @StringField({ description: 'Name that the guest gave itself; not to be trusted.', optional: true }) hostname?: string;
}

/** Address of an interface: what is reserved for it, and what its guest has really taken. */
export class MachineAddressDto {
  @StringField({ description: 'Name of the interface.' }) interface: string;
  @StringField({ description: 'MAC address.' }) mac: string;
  @StringField({ description: 'IPv4 address that is reserved for it: DHCP gives it this one and no other machine.', optional: true })
  address?: string;
  @ObjectField(() => AddressLeaseDto, {
    description: 'What the guest has taken; absent until it has asked, and after its lease ended.',
    optional: true,
  })
  lease?: AddressLeaseDto;
}

/** Volume behind a disk. */
export class MachineDiskDto {
  @StringField({ description: 'Name of the disk.' }) name: string;
  @StringField({ description: 'Id of its volume.' }) volume: string;
}

/** What was last seen of a machine. */
export class ObservedDto {
  @EnumField({
    description: 'State it is in; `unknown`: the host was not looked at since the orchestrator was started.',
    values: MACHINE_STATES,
  })
  state: string;
  @IntField({ description: 'The desired generation this state answers.' }) generation: number;
  @ObjectField(() => StateReasonDto, { description: 'Why, when it is not where it should be.', optional: true }) reason?: StateReasonDto;
  @IntField({ description: 'Process id of its worker on the host.', optional: true }) workerPid?: number;
  @TimeField({ description: 'When it last began to run.', optional: true }) startedAt?: string;
  @IntField({ description: 'Restarts made by the restart policy.' }) restarts: number;
  @TimeField({ description: 'When the restart policy tries again.', optional: true }) nextRestartAt?: string;
  @IntField({ description: 'Deletes in a row that failed; `reason` says why.', optional: true }) deleteAttempts?: number;
  @TimeField({ description: 'When the failed delete is tried again. It may be deleted again before.', optional: true })
  nextDeleteAt?: string;
  @ListField(() => MachineAddressDto, { description: 'Its addresses.' }) addresses: MachineAddressDto[];
  @ListField(() => MachineDiskDto, { description: 'Its disks.' }) disks: MachineDiskDto[];
}

/** A virtual machine. */
export class MachineDto {
  @StringField({ description: 'Id; sorts by time of creation.' }) id: string;
  @StringField({ description: 'Unique name.' }) name: string;
  @LabelsField({}) labels: Record<string, string>;
  @StringField({ description: 'What people write about it.' }) notes: string;
  @BoolField({ description: 'Whether it may not be deleted.' }) protected: boolean;
  @IntField({ description: 'Grows with each change; the ETag is `W/"<generation>"`.' }) generation: number;
  @TimeField({ description: 'When it was created.' }) createdAt: string;
  @TimeField({ description: 'When it last changed.' }) updatedAt: string;
  @ObjectField(() => MachineSpecDto, { description: 'What it is made of, all defaults filled in.' }) spec: MachineSpecDto;
  @ObjectField(() => DesiredDto, { description: 'State asked for.' }) desired: DesiredDto;
  @ObjectField(() => ObservedDto, { description: 'State seen.' }) observed: ObservedDto;
}

/** Counters of a running machine. */
export class MachineMetrics {
  @CustomField({
    description: 'Counters by name since the start of the worker.',
    schema: { type: 'object', additionalProperties: { type: 'integer' } },
  })
  counters: Record<string, number>;
}

/** The form in which clients see a machine. */
export function toMachineDto(machine: Machine): MachineDto {
  const { attempt: _attempt, addresses, ...observed } = machine.observed;
  return { ...machine, spec: shownSpec(machine.spec), observed: { ...observed, addresses: addresses.map(toAddressDto) } };
}

/** What cloud-init is told holds passwords at times: who may not change machines does not see it. */
function shownSpec(spec: MachineSpec): MachineSpec {
  const role = currentContext()?.principal?.role;
  if (spec.cloudInit === undefined || (role !== undefined && roleAllows(role, 'machines:write'))) return spec;
  return { ...spec, cloudInit: { sshKeys: spec.cloudInit.sshKeys } };
}

/** A lease that has run out is none, also before the host tells so. */
function toAddressDto({ lease, ...address }: MachineAddress): MachineAddressDto {
  return lease === undefined || Date.parse(lease.expiresAt) <= Date.now() ? address : { ...address, lease };
}
