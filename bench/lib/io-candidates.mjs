// SPDX-License-Identifier: Apache-2.0
// The measuring guest under each hypervisor: kernel, initramfs, command line, processors and memory are equal; QEMU's devices have
// the settings that are its fastest.
import { worker } from './places.mjs';

const CPUS = '1';
const MEMORY = '256M';
const MICROVM = 'microvm,accel=kvm,x-option-roms=off,pit=off,pic=off,rtc=off';
const Q35 = 'q35,accel=kvm';

export const QCOW2_OWN = 'Flotilla qcow2';
/** Raw as well, on a file that has as much to allocate as the image. */
export const HOLES_OWN = 'Flotilla raw, half holes';
export const VHOST_OWN = 'Flotilla vhost-net';

/** On a raw file, by name. @param {{ vmlinux: string, initramfs: string }} guest */
export function rawCandidates(guest, commandLine, path) {
  const disk = [...IOTHREAD, ...file('file', path), '-blockdev', 'driver=raw,node-name=disk,file=file'];
  return {
    Flotilla: flotilla(guest, commandLine, ['--disk', `path=${path},format=raw`]),
    'QEMU microvm': qemu(MICROVM, guest, commandLine, [...disk, '-device', 'virtio-blk-device,drive=disk,iothread=io']),
    'QEMU q35': qemu(Q35, guest, commandLine, [...disk, '-device', 'virtio-blk-pci,drive=disk,iothread=io']),
  };
}

/** On a qcow2 image with a raw backing file, by name. @param {{ overlay: string, base: string }} image */
export function qcow2Candidates(guest, commandLine, { overlay, base }) {
  const disk = [
    ...IOTHREAD,
    ...file('base-file', base, ',read-only=on'),
    ...['-blockdev', 'driver=raw,node-name=base,file=base-file,read-only=on'],
    ...file('file', overlay),
    ...['-blockdev', 'driver=qcow2,node-name=disk,file=file,backing=base'],
  ];
  return {
    [QCOW2_OWN]: flotilla(guest, commandLine, ['--disk', `path=${overlay},format=qcow2,backing=raw:${base}`]),
    'QEMU q35 qcow2': qemu(Q35, guest, commandLine, [...disk, '-device', 'virtio-blk-pci,drive=disk,iothread=io']),
  };
}

/** On a raw file of which every second cluster is a hole. */
export function holesCandidates(guest, commandLine, path) {
  return { [HOLES_OWN]: flotilla(guest, commandLine, ['--disk', `path=${path},format=raw`]) };
}

/** By name. @param {{ tap: string, mac: string }} link */
export function networkCandidates(guest, commandLine, { tap, mac }) {
  const nic = (on) => [
    '-netdev',
    `tap,id=net,ifname=${tap},script=no,downscript=no,vhost=${on}`,
    '-device',
    `virtio-net-pci,netdev=net,mac=${mac},romfile=`,
  ];
  const own = `tap=${tap},mac=${mac}`;
  return {
    'Flotilla tap': flotilla(guest, commandLine, ['--net', own]),
    [VHOST_OWN]: flotilla(guest, commandLine, ['--net', `${own},vhost=on`]),
    'QEMU tap': qemu(Q35, guest, commandLine, nic('off')),
    'QEMU vhost-net': qemu(Q35, guest, commandLine, nic('on')),
  };
}

const IOTHREAD = ['-object', 'iothread,id=io'];

/** A file on tmpfs takes no O_DIRECT before Linux 6.6 and gains nothing from it later: its page cache is the file. */
function file(node, path, more = '') {
  return ['-blockdev', `driver=file,node-name=${node},filename=${path},aio=io_uring,cache.direct=off${more}`];
}

function flotilla({ vmlinux, initramfs }, commandLine, devices) {
  const guest = ['--kernel', vmlinux, '--initrd', initramfs, '--cmdline', commandLine, '--cpus', CPUS, '--memory', MEMORY];
  return [worker, 'run', ...guest, '--serial', 'stdio', ...devices];
}

function qemu(machine, { vmlinux, initramfs }, commandLine, devices) {
  return [
    'qemu-system-x86_64',
    ...['-M', machine, '-cpu', 'host', '-smp', CPUS, '-m', MEMORY, '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-global', 'virtio-mmio.force-legacy=false', '-serial', 'stdio'],
    ...['-kernel', vmlinux, '-initrd', initramfs, '-append', commandLine],
    ...devices,
  ];
}
