// SPDX-License-Identifier: Apache-2.0
// iperf3 and ping between a guest and a tap of this machine, beside QEMU. Runs in the lab where the host has no hardware KVM.
// Usage: node bench/network.mjs RUNS AMOUNT RESULT.json [CANDIDATE ...], all by default, AMOUNT as `seconds=3` or `work=2000`
// (guest/io/init), with FLOTILLA_GUEST_IMAGES set.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';

import { VHOST, takes } from './lib/abilities.mjs';
import { chosen } from './lib/candidates.mjs';
import { runJobs } from './lib/guest.mjs';
import { VHOST_OWN, networkCandidates } from './lib/io-candidates.mjs';
import { NETWORK_JOBS, readIperf, readPing } from './lib/jobs.mjs';
import { writeResult } from './lib/lost.mjs';
import { worker } from './lib/places.mjs';
import { staged } from './lib/staged.mjs';
import { alternateRows } from './lib/stats.mjs';

const [runs, amount, resultFile, ...named] = process.argv.slice(2);
const images = JSON.parse(process.env.FLOTILLA_GUEST_IMAGES);
const link = { tap: 'fltbench0', mac: '52:54:00:00:00:02' };
const HOST = '10.90.0.1';
// One in a lab of its own is as fast as those that follow it: the guest does its first job once before it counts.
const uncounted = amount.startsWith('work=') ? 0 : 1;

const folder = mkdtempSync('/dev/shm/flotilla-network-');
ip('tuntap', 'add', link.tap, 'mode', 'tap', 'vnet_hdr');
ip('addr', 'add', `${HOST}/24`, 'dev', link.tap);
ip('link', 'set', link.tap, 'up');
const server = spawn('iperf3', ['--server', '--bind', HOST], { stdio: 'ignore' });
try {
  await writeResult(resultFile, measureAll);
} finally {
  server.kill();
  await once(server, 'exit');
  ip('link', 'delete', link.tap);
  rmSync(folder, { recursive: true });
}

async function measureAll() {
  const jobs = `bench.net=10.90.0.2/24,${HOST} bench.iperf=${Object.keys(NETWORK_JOBS).join(',')} bench.${amount}`;
  const guest = { vmlinux: images.kernel.vmlinux, initramfs: images.io.initramfs };
  const commands = chosen(networkCandidates(guest, `console=ttyS0 quiet reboot=k panic=-1 ${jobs}`, link), named);
  const absent = VHOST_OWN in commands && !takes(worker, VHOST) ? [VHOST_OWN] : [];
  for (const name of absent) console.error(`${name}: not there, this build takes no such interface`);
  const there = Object.entries(commands).filter(([name]) => !absent.includes(name));
  const candidates = there.map(([name, argv]) => [name, staged(argv, folder)]);
  console.error(`iperf3 and ping over a tap, ${amount} each`);
  const measures = Object.fromEntries(candidates.map(([name, argv]) => [name, () => measure(argv)]));
  const note = (line) => console.error(`  ${line}`);
  return { rows: await alternateRows(measures, Number(runs), note, uncounted), absent };
}

async function measure(argv) {
  const figures = {};
  for (const [job, { text, exits }] of Object.entries(await runJobs(argv, Object.keys(NETWORK_JOBS)))) {
    if (process.env.FLOTILLA_BENCH_REASONS) console.error(`    ${job} ${JSON.stringify(exits)}`);
    if (job === 'ping') {
      figures['ping ms'] = readPing(job, text).averageMs;
      continue;
    }
    const { mbitPerSecond, mebibytes } = readIperf(job, text);
    figures[`${job} Mbit/s`] = mbitPerSecond;
    if (exits.exits !== undefined) figures[`${job} exits`] = exits.exits / mebibytes;
  }
  return figures;
}

function ip(...words) {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'inherit'] });
}
