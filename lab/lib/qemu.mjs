// SPDX-License-Identifier: Apache-2.0
// The emulator's command line, and whether the host's own KVM can carry the lab.

import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';

export const QEMU = 'qemu-system-x86_64';
export const VIRTIOFSD = '/usr/lib/qemu/virtiofsd';

/**
 * `kvm` when this host has hardware virtualization, a usable /dev/kvm, and hands virtualization on to its guests;
 * else `tcg`, which emulates an AMD processor with SVM and nested paging.
 */
export function chooseAccelerator() {
  if (!/^flags\b.*\b(?:vmx|svm)\b/m.test(read('/proc/cpuinfo'))) return 'tcg';
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return 'tcg';
  }
  const nested = ['kvm_intel', 'kvm_amd'].map((name) => read(`/sys/module/${name}/parameters/nested`).trim());
  return nested.some((value) => value === 'Y' || value === '1') ? 'kvm' : 'tcg';
}

/**
 * One processor where it is emulated: with more, QEMU delivers an interrupt that KVM injects into a guest twice now and
 * then, and the guest locks up (docs/notes/lab.md).
 */
export function processorsFor(accelerator) {
  return accelerator === 'kvm' ? 2 : 1;
}

/**
 * The frequency of the time-stamp counter, for the lab's kernel: an emulated processor counts the host's. Measured by that kernel
 * on a busy host it is wrong by factors, and with it all clocks (docs/notes/lab.md). 0 when the kernel is to find out by itself.
 * One that counts instructions counts a nanosecond for each.
 */
export function timeStampKilohertz(image, accelerator, clock) {
  if (accelerator !== 'tcg') return 0;
  if (clock === 'instructions') return 1_000_000;
  return Number(spawnSync(image.init, ['--tsc-kilohertz'], { encoding: 'utf8' }).stdout) || 0;
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/**
 * @param {{ image: import('./image.mjs').LabImage, memory: number, cpus: number, accelerator: string, clock: string, kilohertz: number, consoleFile: string,
 *   portSocket: string, shares: readonly { tag: string, socket: string }[] }} lab memory in MiB, `kilohertz` as by `timeStampKilohertz`
 * @returns {string[]}
 */
export function qemuArguments({ image, memory, cpus, accelerator, clock, kilohertz, consoleFile, portSocket, shares }) {
  const timeStamp = kilohertz > 0 ? `tsc=reliable tsc_early_khz=${kilohertz}` : 'tsc=reliable';
  return [
    ...processor(accelerator, clock),
    '-machine',
    'q35,usb=off,vmport=off,sata=off,smbus=off,memory-backend=memory',
    '-smp',
    String(cpus),
    '-m',
    `${memory}M`,
    '-object',
    `memory-backend-memfd,id=memory,size=${memory}M,share=on`,
    '-nodefaults',
    '-no-user-config',
    '-display',
    'none',
    '-no-reboot',
    '-serial',
    `file:${consoleFile}`,
    '-device',
    'virtio-rng-pci',
    '-device',
    'virtio-serial-pci',
    '-chardev',
    `socket,id=port,path=${portSocket}`,
    '-device',
    'virtserialport,chardev=port,name=flotilla.lab',
    ...shares.flatMap(({ tag, socket }) => [
      '-chardev',
      `socket,id=${tag},path=${socket}`,
      '-device',
      `vhost-user-fs-pci,chardev=${tag},tag=${tag}`,
    ]),
    '-kernel',
    image.kernel,
    '-initrd',
    image.initramfs,
    '-append',
    `console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off random.trust_cpu=on no_timer_check ${timeStamp}`,
  ];
}

function processor(accelerator, clock) {
  if (accelerator === 'kvm') return ['-accel', 'kvm', '-cpu', 'host'];
  const emulated = ['-cpu', 'EPYC,+svm,+npt,+x2apic'];
  if (clock === 'host') return ['-accel', 'tcg,thread=multi,tb-size=512', ...emulated];
  // Without sleep, a wait is as long as what is waited for says, and no longer because the host is busy.
  return ['-accel', 'tcg,thread=single,tb-size=512', '-icount', 'shift=0,sleep=off', ...emulated];
}
