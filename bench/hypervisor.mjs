// SPDX-License-Identifier: Apache-2.0
// What needs hardware KVM, so it runs in the lab where there is none: boot time of both profiles and memory, beside QEMU.
// Usage: node bench/hypervisor.mjs RUNS RESULT.json [standard|micro|memory [CANDIDATE ...]], all by default, with
// FLOTILLA_GUEST_IMAGES set.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { MICRO_END, bootCommands, chosen, equipped, guestMemoryKiB, microCommands } from './lib/candidates.mjs';
import { writeResult } from './lib/lost.mjs';
import { cpuModel, kernelRelease } from './lib/machine.mjs';
import { memoryBesideGuest, startUntil, timeToExit } from './lib/process.mjs';
import { staged } from './lib/staged.mjs';
import { alternate } from './lib/stats.mjs';

const [runs, resultFile, only, ...named] = process.argv.slice(2);
const images = JSON.parse(process.env.FLOTILLA_GUEST_IMAGES);
const say = (line) => console.error(`  ${line}`);

/** What the guest's first program prints in user land. */
const ready = 'flotilla-init ready';
const common = 'console=ttyS0 quiet';
const acpi = `${common} reboot=k panic=-1`;

const PARTS = { standard: measureStandard, micro: measureMicro, memory: measureAllMemory };
await writeResult(resultFile, async () => {
  const results = {};
  for (const part of only === undefined ? Object.keys(PARTS) : [only]) results[part] = await PARTS[part]();
  return { ...results, versions: versions() };
});

function versions() {
  const { stdout } = spawnSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' });
  return { qemu: stdout.split('\n')[0], kernel: kernelRelease(), cpu: cpuModel() };
}

function measureStandard() {
  console.error('start of process to guest user land to power-off (ms)');
  return measureBoots(mapValues(bootCommands(images, `${acpi} flotilla.then=poweroff`), (argv) => ({ argv, status: 0 })));
}

function measureMicro() {
  console.error('profile micro: start of process to guest user land to triple fault (ms)');
  return measureBoots(microCommands(images, `${common} ${MICRO_END}`));
}

async function measureBoots(commands) {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-bench-'));
  try {
    const measures = mapValues(chosen(commands, named), ({ argv, status }) => {
      const inMemory = staged(argv, folder);
      return () => timeToExit(inMemory, ready, status);
    });
    return await alternate(measures, Number(runs), say);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measureAllMemory() {
  const idle = bootCommands(images, `${acpi} flotilla.then=idle`);
  console.error('resident memory beside guest memory, idle (KiB)');
  const bare = await measureEach(idle);
  console.error('the same with a disk and an interface (KiB)');
  const place = mkdtempSync(join(tmpdir(), 'flotilla-bench-'));
  const devices = { disk: join(place, 'disk'), tap: 'fltbench1' };
  writeFileSync(devices.disk, '');
  truncateSync(devices.disk, 64 << 20);
  execFileSync('ip', ['tuntap', 'add', devices.tap, 'mode', 'tap', 'vnet_hdr']);
  try {
    return { bare, equipped: await measureEach(equipped(idle, devices)) };
  } finally {
    execFileSync('ip', ['link', 'delete', devices.tap]);
    rmSync(place, { recursive: true });
  }
}

function measureEach(commands) {
  return alternate(
    mapValues(chosen(commands, named), (argv) => () => measureMemory(argv)),
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
