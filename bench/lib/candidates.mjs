// SPDX-License-Identifier: Apache-2.0
// The same guest under each hypervisor: kernel, initramfs and command line are equal, each has what it needs and no more.
import { worker } from './places.mjs';

const memoryMiB = 128;
export const guestMemoryKiB = memoryMiB * 1024;

const MICROVM = 'microvm,accel=kvm,x-option-roms=off,pit=off,pic=off,rtc=off';

/** Those of the candidates that were named; all when none was. */
export function chosen(candidates, named) {
  if (named.length === 0) return candidates;
  return Object.fromEntries(Object.entries(candidates).filter(([name]) => named.includes(name)));
}

export function bootCommands({ kernel, initramfs }, commandLine) {
  return {
    Flotilla: [
      worker,
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
    'QEMU microvm': qemu(MICROVM, kernel, initramfs, commandLine),
    'QEMU q35': qemu('q35,accel=kvm', kernel, initramfs, commandLine),
  };
}

/** The end of a guest without ACPI, which cannot switch itself off: a triple fault. */
export const MICRO_END = 'reboot=t panic=-1 flotilla.then=reboot';

/**
 * The profile micro has no ACPI. QEMU's microvm has it, and with it another firmware, unless told otherwise: the bar is about the machine
 * as QEMU makes it, but the like one is measured too. Without ACPI it needs its PIT and PIC: Linux finds no other timer and hangs.
 * @returns {Record<string, { argv: string[], status: number }>} `status`: with which it ends after a triple fault
 */
export function microCommands(images, commandLine) {
  const { kernel, initramfs } = images;
  const { Flotilla, 'QEMU microvm': microvm } = bootCommands(images, commandLine);
  return {
    'Flotilla micro': { argv: [...Flotilla, '--profile', 'micro', '--on-reboot', 'stop'], status: 11 },
    'QEMU microvm': { argv: microvm, status: 0 },
    'QEMU microvm, acpi=off': {
      argv: qemu('microvm,accel=kvm,x-option-roms=off,rtc=off,acpi=off', kernel, initramfs, commandLine),
      status: 0,
    },
  };
}

/** The same commands with a disk and an interface. */
export function equipped(commands, { disk, tap }) {
  const qemu = (bus) => [
    ...['-blockdev', `driver=file,node-name=file,filename=${disk}`, '-blockdev', 'driver=raw,node-name=disk,file=file'],
    ...['-device', `virtio-blk-${bus},drive=disk`],
    ...['-netdev', `tap,id=net,ifname=${tap},script=no,downscript=no`, '-device', `virtio-net-${bus},netdev=net`],
  ];
  return {
    Flotilla: [...commands.Flotilla, '--disk', `path=${disk},format=raw`, '--net', `tap=${tap}`],
    'QEMU microvm': [...commands['QEMU microvm'], ...qemu('device')],
    'QEMU q35': [...commands['QEMU q35'], ...qemu('pci')],
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
