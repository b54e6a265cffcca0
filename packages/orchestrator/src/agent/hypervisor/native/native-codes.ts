// SPDX-License-Identifier: Apache-2.0
import type { ErrorCode as NativeCode } from '@flotilla/native';
import { POOL_FULL_REMEDY } from '../../../common/api-error.js';
import type { ErrorCode } from '../../../common/error-codes.js';

/**
 * What the API calls each error of the core. The type makes the table total: a code that the core gains and that is not
 * named here does not compile. A code of the core that is of no use to clients is joined with the one that says what to do.
 */
export const API_CODES: Readonly<Record<NativeCode, ErrorCode>> = {
  'spec.malformed': 'spec.invalid',
  'spec.unknown_field': 'spec.invalid',
  'spec.missing_field': 'spec.invalid',
  'spec.duplicate_field': 'spec.invalid',
  'spec.invalid_type': 'spec.invalid',
  'spec.invalid_value': 'spec.invalid',
  'spec.profile_conflict': 'spec.profile_conflict',
  'spec.cpus_out_of_range': 'spec.cpus_out_of_range',
  'spec.memory_too_small': 'spec.memory_too_small',
  'spec.memory_too_large': 'spec.memory_too_large',
  'spec.memory_unaligned': 'spec.memory_unaligned',
  'spec.id_invalid': 'spec.invalid',
  'spec.id_duplicate': 'spec.duplicate_name',
  'spec.serial_invalid': 'spec.disk_invalid',
  'spec.serial_duplicate': 'spec.disk_invalid',
  'spec.mac_invalid': 'spec.mac_invalid',
  'spec.mac_duplicate': 'spec.mac_invalid',
  'spec.command_line_invalid': 'spec.command_line_invalid',
  'spec.too_many_disks': 'spec.disk_invalid',
  'spec.disk_queues_invalid': 'spec.disk_invalid',
  'spec.block_size_invalid': 'spec.disk_invalid',
  'spec.backing_invalid': 'spec.disk_invalid',
  'spec.too_many_interfaces': 'spec.invalid',
  'spec.path_invalid': 'spec.invalid',
  'spec.tap_invalid': 'spec.invalid',
  'spec.vsock_invalid': 'spec.invalid',
  'spec.descriptor_invalid': 'spec.invalid',
  'file.missing': 'file.missing',
  'file.not_regular': 'file.not_regular',
  'file.denied': 'file.denied',
  'disk.locked': 'volume.locked',
  'disk.size': 'disk.size',
  'disk.unknown': 'spec.disk_invalid',
  'disk.shrunk': 'disk.size',
  'disk.block_size': 'disk.size',
  'disk.cache_unsupported': 'disk.unsupported',
  'disk.engine_unavailable': 'disk.unsupported',
  'socket.busy': 'host.io',
  'disk.format': 'image.format_mismatch',
  'disk.format_unsupported': 'image.format_mismatch',
  'disk.corrupt': 'image.corrupt',
  'disk.backing': 'image.backing',
  'kernel.unrecognised': 'kernel.unrecognised',
  'kernel.truncated': 'kernel.truncated',
  'image.unrecognised': 'image.format_mismatch',
  'image.truncated': 'image.truncated',
  'boot.too_large': 'spec.memory_too_small',
  'kvm.missing': 'host.kvm_missing',
  'kvm.denied': 'host.kvm_denied',
  'kvm.unsupported': 'host.kvm_unsupported',
  'tap.missing': 'tap.missing',
  'tap.busy': 'tap.busy',
  'tap.denied': 'tap.denied',
  'tap.unsuitable': 'tap.unsuitable',
  'tap.exists': 'tap.exists',
  'worker.busy': 'worker.busy',
  'worker.gone': 'worker.gone',
  'worker.protocol': 'worker.failed',
  'console.busy': 'console.writer_taken',
  'console.full': 'console.full',
  'machine.state': 'machine.state_conflict',
  'machine.no_power_button': 'machine.no_power_button',
  'machine.stuck': 'machine.stuck',
  'host.no_space': 'pool.full',
  'host.no_memory': 'host.no_memory',
  aborted: 'operation.cancelled',
  'core.panic': 'worker.failed',
  io: 'host.io',
};

const REMEDIES: Readonly<Partial<Record<ErrorCode, string>>> = {
  'host.kvm_missing': 'Run `flotilla doctor` to see what this host lacks; without hardware virtualization use the lab (`npm run lab`).',
  'host.kvm_denied': 'Start the host agent as root or as a user of the group kvm; `flotilla doctor` tells more.',
  'host.kvm_unsupported': 'Run `flotilla doctor` to see what this host lacks; without hardware virtualization use the lab (`npm run lab`).',
  'tap.missing': 'Start the machine again: its links are made anew. If it stays, look in the log of the host agent.',
  'tap.busy': 'Find the process that holds the tap of this machine on the host and end it, then start the machine again.',
  'tap.denied': 'Start the host agent as root, or with the capability CAP_NET_ADMIN.',
  'tap.unsuitable':
    'Remove the link that the message names (`ip link delete`), then start the machine again: Flotilla makes it as it must be.',
  'tap.exists': 'Remove the link that the message names (`ip link delete`), then start the machine again.',
  'machine.stuck': 'Look at what the volumes and links of the machine are on, then try again, or kill the machine.',
  'pool.full': POOL_FULL_REMEDY,
  'disk.unsupported': 'Create the machine with cache writeback and engine auto for this disk, which work everywhere.',
  'disk.size': 'Import a disk image, or make a volume, whose length is a multiple of 512 bytes and not zero.',
};

/** What a caller of the API can do about it, where that is something else than the core says. */
export function remedyOf(code: ErrorCode): string | undefined {
  return REMEDIES[code];
}
