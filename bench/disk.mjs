// SPDX-License-Identifier: Apache-2.0
// fio in a guest on a raw file and on a qcow2 image in memory, beside QEMU. Runs in the lab where the host has no hardware KVM.
// Usage: node bench/disk.mjs RUNS AMOUNT RESULT.json [CANDIDATE ...], all by default, AMOUNT as `seconds=3` or `work=2000`
// (guest/io/init), with FLOTILLA_GUEST_IMAGES set.
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { QCOW2, takes } from './lib/abilities.mjs';
import { chosen } from './lib/candidates.mjs';
import { runJobs } from './lib/guest.mjs';
import { QCOW2_OWN, holesCandidates, qcow2Candidates, rawCandidates } from './lib/io-candidates.mjs';
import { DISK_JOBS, readFio } from './lib/jobs.mjs';
import { writeResult } from './lib/lost.mjs';
import { worker } from './lib/places.mjs';
import { createHoles, createOverlay } from './lib/qcow2.mjs';
import { staged } from './lib/staged.mjs';
import { alternateRows } from './lib/stats.mjs';

const [runs, amount, resultFile, ...named] = process.argv.slice(2);
const images = JSON.parse(process.env.FLOTILLA_GUEST_IMAGES);
const DISK_BYTES = 256 << 20;

// One in a lab of its own is as fast as those that follow it: the guest does its first job once before it counts.
const uncounted = amount.startsWith('work=') ? 0 : 1;

const folder = mkdtempSync('/dev/shm/flotilla-disk-');
try {
  await writeResult(resultFile, measureAll);
} finally {
  rmSync(folder, { recursive: true });
}

async function measureAll() {
  const [disk, base, overlay, template, holes] = ['disk', 'base', 'overlay', 'template', 'holes'].map((name) => join(folder, name));
  const jobs = `bench.fio=${Object.keys(DISK_JOBS).join(',')} bench.${amount}`;
  const guest = { vmlinux: images.kernel.vmlinux, initramfs: images.io.initramfs };
  const commandLine = `console=ttyS0 quiet reboot=k panic=-1 ${jobs}`;
  const qcow2 = chosen(qcow2Candidates(guest, commandLine, { overlay, base }), named);
  const absent = QCOW2_OWN in qcow2 && !takes(worker, QCOW2) ? [QCOW2_OWN] : [];
  for (const name of absent) console.error(`${name}: not there, this build takes no such disk`);
  // Written, not a hole: reading a hole of tmpfs moves nothing.
  const content = Buffer.alloc(DISK_BYTES, 0x5a);
  writeFileSync(disk, content);
  if (Object.keys(qcow2).length > 0) {
    writeFileSync(base, content);
    createOverlay(template, base, DISK_BYTES);
  }
  const onRaw = inMemory(chosen(rawCandidates(guest, commandLine, disk), named));
  const onHoles = inMemory(chosen(holesCandidates(guest, commandLine, holes), named));
  const onQcow2 = inMemory(qcow2).filter(([name]) => !absent.includes(name));
  const measures = Object.fromEntries([
    ...onRaw.map(([name, argv]) => [name, () => measure(argv)]),
    ...onHoles.map(([name, argv]) => [name, () => measureHoles(argv, holes)]),
    ...onQcow2.map(([name, argv]) => [name, () => measureAfresh(argv, template, overlay)]),
  ]);
  console.error(`fio on files in memory, ${amount} each`);
  const note = (line) => console.error(`  ${line}`);
  return { rows: await alternateRows(measures, Number(runs), note, uncounted), absent };
}

/** Each of them finds the image as it was made, whatever the one before wrote. */
function measureAfresh(argv, template, overlay) {
  copyFileSync(template, overlay);
  return measure(argv);
}

/** The same for the file with holes. Its reads are no figures: to read a hole of tmpfs moves nothing. */
async function measureHoles(argv, holes) {
  createHoles(holes, DISK_BYTES);
  return Object.fromEntries(Object.entries(await measure(argv)).filter(([row]) => row.includes('write')));
}

async function measure(argv) {
  const figures = {};
  for (const [job, { text, exits }] of Object.entries(await runJobs(argv, Object.keys(DISK_JOBS)))) {
    const { iops, mibPerSecond, requests } = readFio(job, text);
    figures[`${job} iops`] = iops;
    figures[`${job} MiB/s`] = mibPerSecond;
    if (exits.exits !== undefined) figures[`${job} exits`] = exits.exits / requests;
    if (process.env.FLOTILLA_BENCH_REASONS) console.error(`    ${job} ${JSON.stringify(exits)} for ${requests}`);
  }
  return figures;
}

function inMemory(commands) {
  return Object.entries(commands).map(([name, argv]) => [name, staged(argv, folder)]);
}
