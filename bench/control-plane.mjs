// SPDX-License-Identifier: Apache-2.0
// What any /dev/kvm can show: the orchestrator's start, its memory for each machine, and what the API adds to a start.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startUntil } from './lib/process.mjs';
import { top } from './lib/places.mjs';
import { alternate, summary } from './lib/stats.mjs';

const worker = `${top}/target/x86_64-unknown-linux-gnu/release/flotilla-vmm`;

const MEMORY_SAMPLES = 5;

/** All figures of the control plane; without KVM all but those of real guests. */
export async function measureControlPlane(runs, say, { kvm }) {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-bench-'));
  try {
    say('orchestrator: start of process to listening (ms)');
    const start = await repeat(runs, () => measureStart(folder));
    say('orchestrator: resident memory for each of 1,000 machines on the fake hypervisor (KiB)');
    const samples = [];
    for (let sample = 0; sample < MEMORY_SAMPLES; sample++) samples.push(await measureMachines(join(folder, `fake-${sample}`), 1000));
    const perMachine = summary(samples);
    if (!kvm) return { start, perMachine };
    say('create to first output of a bare-metal guest (ms)');
    const create = await measureCreate(folder, runs, say);
    return { start, perMachine, create };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the API adds to a start, and nothing else. */
export async function measureCreatePath(runs, say) {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-bench-'));
  try {
    return await measureCreate(folder, runs, say);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function repeat(runs, measure) {
  const values = [];
  for (let run = 0; run <= runs; run++) {
    const value = await measure();
    if (run > 0) values.push(value);
  }
  return summary(values);
}

async function measureStart(folder) {
  const orchestrator = await startOrchestrator(join(folder, 'start'), {});
  await orchestrator.stop('SIGTERM');
  return orchestrator.milliseconds;
}

function startOrchestrator(folder, env) {
  const settings = { FLOTILLA_DATA_DIR: join(folder, 'data'), FLOTILLA_RUNTIME_DIR: join(folder, 'run'), FLOTILLA_LISTEN: '127.0.0.1:0' };
  const argv = [process.execPath, `${top}/packages/orchestrator/dist/main.js`];
  return startUntil(argv, 'listening on http', { env: { ...process.env, ...settings, ...env } });
}

async function clientFor(folder, orchestrator) {
  const { Flotilla } = await import('@flotilla/sdk');
  const apiKey = readFileSync(join(folder, 'data', 'admin.key'), 'utf8').trim();
  const baseUrl = /listening on (http:\S+)/.exec(orchestrator.output())[1];
  return new Flotilla({ baseUrl, apiKey, timeoutMs: 120_000 });
}

async function measureMachines(folder, count) {
  const orchestrator = await startOrchestrator(folder, { FLOTILLA_HYPERVISOR: 'fake', FLOTILLA_MEMORY_OVERCOMMIT: 'allow' });
  try {
    const client = await clientFor(folder, orchestrator);
    const guests = makeGuests(folder);
    await client.images.import({ name: 'hello', kind: 'kernel', format: 'elf', source: { path: join(guests, 'hello.elf') } });
    // Warm: what is loaded at first use is not memory of a machine.
    for (let index = 0; index < 20; index++) await client.machines.create(params(`warm-${index}`));
    const before = residentKiB(orchestrator.pid);
    for (let index = 0; index < count; index += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, offset) => client.machines.create(params(`machine-${index + offset}`))));
    }
    return (residentKiB(orchestrator.pid) - before) / count;
  } finally {
    await orchestrator.stop();
  }
}

async function measureCreate(folder, runs, say) {
  const place = join(folder, 'create');
  const orchestrator = await startOrchestrator(place, {});
  try {
    const client = await clientFor(place, orchestrator);
    const kernel = join(makeGuests(place), 'idle.elf');
    await client.images.import({ name: 'hello', kind: 'kernel', format: 'elf', source: { path: kernel } });
    let made = 0;
    return await alternate(
      {
        'worker alone': () => measureWorker(kernel),
        'through the API': () => measureApi(client, `create-${made++}`),
      },
      runs,
      say,
    );
  } finally {
    await orchestrator.stop('SIGTERM');
  }
}

async function measureWorker(kernel) {
  const machine = await startUntil([worker, 'run', '--kernel', kernel, '--memory', '16M', '--serial', 'stdio'], 'ready');
  await machine.stop();
  return machine.milliseconds;
}

async function measureApi(client, name) {
  const began = performance.now();
  const machine = await client.machines.create(params(name));
  const console = await machine.console({ write: false });
  await console.expect('ready');
  const milliseconds = performance.now() - began;
  console.close();
  await machine.delete({ force: true });
  return milliseconds;
}

function params(name) {
  return { name, cpus: 1, memoryMiB: 16, boot: { kernel: 'hello' } };
}

/** Writes the bare-metal test guests. */
function makeGuests(folder) {
  const target = join(folder, 'guests');
  const made = spawnSync('cargo', ['run', '--quiet', '--locked', '-p', 'flotilla-test-guests', '--bin', 'make-guests', '--', target], {
    cwd: top,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (made.status !== 0) throw new Error('The bare-metal guests could not be made');
  return target;
}

function residentKiB(pid) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}
