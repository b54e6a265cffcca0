// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import type { ErrorCode } from '../../common/error-codes.js';
import type { Machine, MachineAction } from './machine.js';

export const MACHINE_PARAM = { machine: 'Id or name of the machine.' };

export const INTERFACE_PARAM = { ...MACHINE_PARAM, interface: 'Name of one of its interfaces.' };

export const DISK_PARAM = { ...MACHINE_PARAM, disk: 'Name of one of its disks.' };

/** Codes that creating a machine may answer at once. */
export const CREATE_ERRORS: readonly ErrorCode[] = [
  'machine.name_taken',
  'image.not_found',
  'image.not_ready',
  'image.wrong_kind',
  'volume.not_found',
  'volume.locked',
  'network.not_found',
  'network.full',
  'network.mac_taken',
  'network.address_taken',
  'network.address_invalid',
  'spec.invalid',
  'spec.memory_too_small',
  'spec.memory_too_large',
  'spec.memory_unaligned',
  'spec.cpus_out_of_range',
  'spec.cpu_topology',
  'spec.cpu_feature',
  'spec.pin_invalid',
  'spec.memory_conflict',
  'spec.balloon_invalid',
  'spec.numa_invalid',
  'host.memory_overcommitted',
  'spec.mac_invalid',
  'spec.network_conflict',
  'spec.forward_invalid',
  'spec.share_invalid',
  'share.forbidden',
  'spec.spoof_guard_unsupported',
  'spec.command_line_invalid',
  'spec.disk_invalid',
  'spec.duplicate_name',
  'host.kvm_missing',
  'host.kvm_denied',
  'host.kvm_unsupported',
  'host.unavailable',
  'pool.full',
  'pool.not_found',
  'pool.not_started',
  'pool.unsupported',
  'pool.overcommitted',
];

/** Codes that a change of a machine may answer. */
export const CHANGE_ERRORS: readonly ErrorCode[] = [
  'machine.not_found',
  'machine.name_taken',
  'machine.state_conflict',
  'precondition.failed',
  'spec.cpus_out_of_range',
  'spec.cpu_topology',
  'spec.pin_invalid',
  'spec.memory_too_small',
  'spec.memory_too_large',
  'spec.memory_unaligned',
  'spec.numa_invalid',
  'spec.balloon_invalid',
  'host.unavailable',
];

/** Codes that actions on a machine may answer at once. */
export const ACTION_ERRORS: readonly ErrorCode[] = [
  'machine.not_found',
  'machine.state_conflict',
  'volume.locked',
  'precondition.failed',
  'host.unavailable',
];

export class MachineNotFound extends ApiError {
  constructor(idOrName: string) {
    super('machine.not_found', {
      detail: `There is no machine with the id or name "${idOrName}".`,
      remedy: 'List the machines to see which there are: GET /v1/machines.',
    });
  }
}

export class MachineNameTaken extends ApiError {
  constructor(name: string) {
    super('machine.name_taken', {
      detail: `A machine with the name "${name}" exists.`,
      remedy: 'Choose another name, or delete that machine first.',
      field: 'name',
    });
  }
}

export class MachineStateConflict extends ApiError {
  constructor(machine: Machine, action: MachineAction | `change ${string}`, remedy: string, field?: string) {
    super('machine.state_conflict', {
      detail: `Machine "${machine.name}" is ${machine.observed.state}; it cannot ${action} now.`,
      remedy,
      ...(field === undefined ? {} : { field }),
    });
  }
}

export class MachineProtected extends ApiError {
  constructor(machine: Machine) {
    super('machine.protected', {
      detail: `Machine "${machine.name}" is protected against deletion.`,
      remedy: 'If it may go, change the machine with `protected: false` first.',
    });
  }
}

export class MachineBusy extends ApiError {
  constructor(machine: Machine, operation: { id: string; kind: string }) {
    super('machine.state_conflict', {
      detail: `Operation ${operation.id} (${operation.kind}) on machine "${machine.name}" has not ended.`,
      remedy: `Wait for it with GET /v1/operations/${operation.id} and Prefer: wait=60, or cancel it.`,
    });
  }
}

export class InterfaceNotFound extends ApiError {
  constructor(machine: Machine, name: string) {
    super('interface.not_found', {
      detail: `Machine "${machine.name}" has no interface "${name}".`,
      remedy: 'Read the machine: spec.interfaces names those it has.',
    });
  }
}

export class DiskNotFound extends ApiError {
  constructor(machine: Machine, name: string) {
    super('disk.not_found', {
      detail: `Machine "${machine.name}" has no disk "${name}".`,
      remedy: 'Read the machine: spec.disks names those it has.',
    });
  }
}

export class NoBalloon extends ApiError {
  constructor(machine: Machine) {
    super('machine.no_balloon', {
      detail: `Machine "${machine.name}" has no balloon.`,
      remedy: 'Create it with `balloon: {}`.',
    });
  }
}

export class NoHinting extends ApiError {
  constructor(machine: Machine) {
    super('machine.no_hinting', {
      detail: `The balloon of machine "${machine.name}" does not ask what nothing in the guest uses.`,
      remedy: 'Create it with `balloon: { freePageHinting: true }`.',
    });
  }
}
