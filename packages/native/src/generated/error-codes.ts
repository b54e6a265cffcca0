// SPDX-License-Identifier: Apache-2.0
// Generated from crates/spec by `npm run gen`. Do not edit.

/** Every error code of the core, with its meaning and the general remedy. */
export const ERROR_CODES = {
  'spec.malformed': { meaning: 'The specification is not JSON.', remedy: 'Send one well-formed JSON object' },
  'spec.unknown_field': { meaning: 'A field exists that no version of the specification knows.', remedy: 'Remove the field or correct its name' },
  'spec.missing_field': { meaning: 'A field without a default is absent.', remedy: 'Add the field' },
  'spec.duplicate_field': { meaning: 'A field occurs twice in one object.', remedy: 'Give the field once' },
  'spec.invalid_type': { meaning: 'A value has the wrong JSON type.', remedy: 'Give a value of the type that the message names' },
  'spec.invalid_value': { meaning: 'A value has the right type and is not one of those allowed.', remedy: 'Give one of the values that the message names' },
  'spec.profile_conflict': { meaning: 'A setting contradicts the profile of the machine.', remedy: 'Remove the setting, or give the machine another profile' },
  'spec.cpus_out_of_range': { meaning: 'The number of CPUs is zero or more than a machine or this host can have.', remedy: 'Ask for 1 to 32 CPUs, and no more than the host allows' },
  'spec.memory_too_small': { meaning: 'The memory is smaller than 16 MiB.', remedy: 'Ask for at least 16777216 bytes (16 MiB)' },
  'spec.memory_too_large': { meaning: 'The memory is larger than that of the host.', remedy: 'Ask for no more memory than the host has' },
  'spec.memory_unaligned': { meaning: 'The memory is not a whole number of pages.', remedy: 'Ask for a multiple of 4096 bytes' },
  'spec.id_invalid': { meaning: 'A disk or interface id has characters or a length that is not allowed.', remedy: 'Use 1 to 64 letters, digits, \'-\', \'_\' or \'.\', the first a letter or digit' },
  'spec.id_duplicate': { meaning: 'Two disks or two interfaces have the same id.', remedy: 'Give each disk and each interface an id of its own' },
  'spec.serial_invalid': { meaning: 'A disk serial is empty, longer than 20 bytes or not printable ASCII.', remedy: 'Use 1 to 20 printable ASCII characters without spaces' },
  'spec.serial_duplicate': { meaning: 'Two disks have the same serial.', remedy: 'Give each disk a serial of its own, or none' },
  'spec.mac_invalid': { meaning: 'A MAC address is malformed, zero or a group address.', remedy: 'Use six hexadecimal pairs such as 52:54:00:12:34:56, the first one even' },
  'spec.mac_duplicate': { meaning: 'Two interfaces have the same MAC address.', remedy: 'Give each interface a MAC address of its own, or none' },
  'spec.command_line_invalid': { meaning: 'The kernel command line is too long or holds a NUL.', remedy: 'Use at most 4095 bytes without NUL' },
  'spec.too_many_disks': { meaning: 'There are more disks than a machine can have.', remedy: 'Use at most 16 disks' },
  'spec.too_many_interfaces': { meaning: 'There are more interfaces than a machine can have.', remedy: 'Use at most 8 interfaces' },
  'spec.path_invalid': { meaning: 'A path is empty, too long or holds a NUL.', remedy: 'Give the path of a file, at most 4095 bytes, without NUL' },
  'spec.tap_invalid': { meaning: 'A tap name is not a name a network link can have.', remedy: 'Use 1 to 15 printable ASCII characters without \'/\', \':\' or spaces' },
  'spec.vsock_invalid': { meaning: 'The context id of a guest is reserved, or its number of socket connections out of range.', remedy: 'Use a context id from 3 to 4294967294 and 1 to 3000 connections' },
  'spec.descriptor_invalid': { meaning: 'A descriptor index does not say which of the passed descriptors is meant, or a path was given to a worker.', remedy: 'Pass open descriptors in the documented order, and no paths' },
  'file.missing': { meaning: 'A file does not exist.', remedy: 'Check the path, and that the file exists on this host' },
  'file.not_regular': { meaning: 'A file is a directory or another thing that cannot be used as one.', remedy: 'Give a regular file or, for a disk, a block device' },
  'file.denied': { meaning: 'Permission to a file is denied.', remedy: 'Give the user that runs the machine permission to the file' },
  'disk.locked': { meaning: 'A disk is in use by another machine.', remedy: 'Stop the machine that uses the disk, or give this one a copy' },
  'disk.size': { meaning: 'A disk has no bytes, or its length is not a whole number of sectors.', remedy: 'Give the disk a length that is a multiple of 512 bytes and not zero (truncate --size)' },
  'socket.busy': { meaning: 'Another process listens at the path of a socket.', remedy: 'Stop what listens there, or give the machine another path' },
  'kernel.unrecognised': { meaning: 'A kernel file is in no format that can be booted.', remedy: 'Give an x86-64 ELF vmlinux or a bzImage' },
  'kernel.truncated': { meaning: 'A kernel file ends before it should.', remedy: 'Copy or download the kernel again: the file is incomplete' },
  'image.unrecognised': { meaning: 'An image file is in no format that fits its use.', remedy: 'Give a raw disk, or an initrd as cpio or compressed cpio; `qemu-img convert -O raw` makes raw disks' },
  'image.truncated': { meaning: 'An image file ends before it should.', remedy: 'Copy or download the image again: the file is incomplete' },
  'boot.too_large': { meaning: 'A kernel, initrd and command line do not fit into the memory of the machine.', remedy: 'Give the machine more memory, or a smaller kernel or initrd' },
  'kvm.missing': { meaning: 'The host has no /dev/kvm.', remedy: 'Load the module kvm_intel or kvm_amd, or use the lab; `flotilla doctor` tells more' },
  'kvm.denied': { meaning: 'Permission to /dev/kvm is denied.', remedy: 'Add the user to the group kvm, or run as root; `flotilla doctor` tells more' },
  'kvm.unsupported': { meaning: 'KVM lacks what a machine needs, as it does without hardware support.', remedy: 'Use a host with hardware virtualization, or the lab; `flotilla doctor` tells more' },
  'tap.missing': { meaning: 'A tap interface does not exist.', remedy: 'Create the tap interface first, or correct its name' },
  'tap.busy': { meaning: 'A tap interface is in use by another process.', remedy: 'Stop what uses the tap interface, or use another one' },
  'tap.denied': { meaning: 'Permission to a tap interface is denied.', remedy: 'Run as root, or create the tap interface for this user: ip tuntap add dev NAME mode tap vnet_hdr user USER' },
  'tap.unsuitable': { meaning: 'An interface is no tap, or one with other settings than a machine needs.', remedy: 'Create a tap interface with a header and one queue: ip tuntap add dev NAME mode tap vnet_hdr' },
  'tap.exists': { meaning: 'An interface of the name of a new tap exists already.', remedy: 'Use another name, or delete the interface first' },
  'worker.busy': { meaning: 'Another client controls the worker.', remedy: 'Close the other connection first: one client at a time controls a worker' },
  'worker.gone': { meaning: 'The worker has ended or does not answer.', remedy: 'Look into worker.log in the run directory of the machine, then start it again' },
  'console.busy': { meaning: 'Another connection writes to the console.', remedy: 'Close the other connection first, or open this one for reading only' },
  'console.full': { meaning: 'As many connections read from the console as may.', remedy: 'Close another connection first: 32 may read from a console at once' },
  'worker.protocol': { meaning: 'A message broke the control protocol.', remedy: 'Use a client and a worker of the same release, or at most two versions apart' },
  'machine.state': { meaning: 'The machine is in a state that does not allow this.', remedy: 'Ask for the state of the machine and do what it allows' },
  'machine.no_power_button': { meaning: 'The machine has no power button, because it has no ACPI.', remedy: 'Let the guest power itself off, end the machine, or give it `acpi: true`' },
  'machine.stuck': { meaning: 'A device hangs and keeps a virtual CPU, or the thread that drives the machine, so that it does not stop in time.', remedy: 'Look at what the disks and interfaces of the machine are on, then try again, or end the machine' },
  'host.no_space': { meaning: 'A file system is full.', remedy: 'Free space on the file system, or use another one' },
  'host.no_memory': { meaning: 'The host lacks memory or another resource.', remedy: 'Give the machine less memory, or free memory on the host' },
  'aborted': { meaning: 'The caller withdrew the call.', remedy: 'Nothing: the call ended because its signal was aborted' },
  'core.panic': { meaning: 'The core failed in a way that is its own fault.', remedy: 'Report this with the message and the log: it is a fault in Flotilla' },
  'io': { meaning: 'The host refused an operation for a reason without a code of its own.', remedy: 'Read the message for what the host refused' },
} as const;

/** A stable error code, written as `area.cause`. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** Whether a text is an error code of the core. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && Object.hasOwn(ERROR_CODES, text);
}
