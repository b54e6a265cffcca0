// SPDX-License-Identifier: Apache-2.0
// The same guest under each hypervisor: kernel, initramfs and command line are equal, each has what it needs and no more.
import { top } from './places.mjs';

const memoryMiB = 128;
export const guestMemoryKiB = memoryMiB * 1024;

export function bootCommands({ kernel, initramfs }, commandLine) {
  return {
    Flotilla: [
      `${top}/target/x86_64-unknown-linux-gnu/release/flotilla-vmm`,
      'run',
      '--kernel',
      kernel.vmlinux,
      '--initrd',
      initramfs.initramfs,
      '--cmdline',
      commandLine,
      '--cpus',
      '1',
      '--memory',
      `${memoryMiB}M`,
      '--serial',
      'stdio',
    ],
    'QEMU microvm': qemu('microvm,accel=kvm,x-option-roms=off,pit=off,pic=off,rtc=off', kernel, initramfs, commandLine),
    'QEMU q35': qemu('q35,accel=kvm', kernel, initramfs, commandLine),
  };
}

function qemu(machine, kernel, initramfs, commandLine) {
  return [
    'qemu-system-x86_64',
    '-M',
    machine,
    '-cpu',
    'host',
    '-smp',
    '1',
    '-m',
    String(memoryMiB),
    '-nodefaults',
    '-no-user-config',
    '-display',
    'none',
    '-no-reboot',
    '-serial',
    'stdio',
    '-kernel',
    kernel.vmlinux,
    '-initrd',
    initramfs.initramfs,
    '-append',
    commandLine,
  ];
}
