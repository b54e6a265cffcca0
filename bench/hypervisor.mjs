// SPDX-License-Identifier: Apache-2.0
// What needs hardware KVM, so it runs in the lab where there is none: boot time and memory, beside QEMU.
// Usage: node bench/hypervisor.mjs RUNS RESULT.json [boot], with FLOTILLA_GUEST_IMAGES set; `boot` leaves memory out.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { bootCommands, guestMemoryKiB } from './lib/candidates.mjs';
import { cpuModel, kernelRelease } from './lib/machine.mjs';
import { memoryBesideGuest, startUntil, timeToExit } from './lib/process.mjs';
import { staged } from './lib/staged.mjs';
import { alternate } from './lib/stats.mjs';

const [runs, resultFile, only] = process.argv.slice(2);
const images = JSON.parse(process.env.FLOTILLA_GUEST_IMAGES);
const say = (line) => console.error(`  ${line}`);

/** What the guest's first program prints in user land. */
const ready = 'flotilla-init ready';
const common = 'console=ttyS0 quiet reboot=k panic=-1';
console.error('start of process to guest user land to power-off (ms)');
const poweroff = bootCommands(images, `${common} flotilla.then=poweroff`);
const folder = mkdtempSync(join(tmpdir(), 'flotilla-bench-'));
const boot = await measureBoot().finally(() => rmSync(folder, { recursive: true }));

const memory = only === 'boot' ? undefined : await measureAllMemory();

const versions = {
  qemu: spawnSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' }).stdout.split('\n')[0],
  kernel: kernelRelease(),
  cpu: cpuModel(),
};
writeFileSync(resultFile, JSON.stringify({ boot, memory, versions }));

async function measureBoot() {
  const inMemory = mapValues(poweroff, (argv) => staged(argv, folder));
  return alternate(
    mapValues(inMemory, (argv) => () => timeToExit(argv, ready)),
    Number(runs),
    say,
  );
}

async function measureAllMemory() {
  console.error('resident memory beside guest memory, idle (KiB)');
  const idle = bootCommands(images, `${common} flotilla.then=idle`);
  return alternate(
    mapValues(idle, (argv) => () => measureMemory(argv)),
    5,
    say,
  );
}

async function measureMemory(argv) {
  const machine = await startUntil(argv, ready);
  try {
    return memoryBesideGuest(machine.pid, guestMemoryKiB);
  } finally {
    await machine.stop();
  }
}

function mapValues(object, change) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
}
