// SPDX-License-Identifier: Apache-2.0
// Second stage of the quickstart: an orchestrator, a machine made through the SDK, a talk with it. Runs on the host or
// in the lab; what it needs to know comes as JSON in FLOTILLA_QUICKSTART.

import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Flotilla } from '@flotilla/sdk';
import { Failure, runMain } from '../lib/failure.mjs';
import { Steps } from '../lib/steps.mjs';
import { ROOT } from '../setup/workspace.mjs';
import { Dialog } from './dialog.mjs';
import { footprint, leftSince } from './footprint.mjs';
import { freeName, Made, namesOf, networkGone, sameImage } from './made.mjs';
import { removeDirectories, startOrchestrator } from './orchestrator.mjs';

const MACHINE = 'quickstart';
const NETWORK = 'default';
/** `file` is the name in the manifest of the guest, which has its checksum. */
const IMAGES = {
  kernel: { name: 'debian-12-kernel', kind: 'kernel', format: 'bzimage', file: 'vmlinuz' },
  initrd: { name: 'debian-12-initrd', kind: 'initrd', format: 'initrd', file: 'initrd.img' },
  disk: { name: 'debian-12', kind: 'disk', format: 'raw', file: 'root.raw' },
};
const MEMORY_MIB = 512;
const DISK_MIB = 1024;
const BOOT_SECONDS = 180;
const ADDRESS_SECONDS = 60;
const HAS_ADDRESS = 'until ip -4 -o addr show scope global | grep -q inet; do sleep 0.5; done';
const PROMPT = /root@\S+:~# $/;

const settings = JSON.parse(process.env.FLOTILLA_QUICKSTART ?? '{}');
delete process.env.FLOTILLA_QUICKSTART;
const steps = new Steps('quickstart-machine');
const made = new Made();
const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(name, () => interrupted.abort(new Failure(`Ended by ${name}`, '', { exitStatus: 130 })));
}

async function main() {
  for (const { title, seconds } of settings.steps ?? []) steps.record(title, seconds);
  if (settings.lab) steps.record('Start the lab', Math.max(0, (Date.now() - settings.handedOverAt) / 1000));
  const before = footprint();
  const place = choosePlace();
  let orchestrator;
  let client;
  try {
    orchestrator = await steps.step('Start the orchestrator', () => startOrchestrator(place));
    client = new Flotilla({ baseUrl: orchestrator.url, apiKey: orchestrator.apiKey, fetch: orchestrator.fetch });
    const machine = await makeMachine(client);
    await talk(machine);
    await ping(machine);
    if (settings.keep) return await handOver(orchestrator, machine);
  } catch (error) {
    await cleanUp(client, orchestrator, place).catch((left) => process.stderr.write(`Not everything could be removed: ${left.message}\n`));
    throw interrupted.signal.aborted ? interrupted.signal.reason : error;
  }
  await steps.step('Remove everything', () => cleanUp(client, orchestrator, place));
  return report(before);
}

/** Kept on a host: where `flotilla` looks by itself. Else: a place of its own that nobody else uses. */
function choosePlace() {
  if (settings.keep) {
    return { dataDirectory: '/var/lib/flotilla', runtimeDirectory: '/run/flotilla', listen: '127.0.0.1:7070', outlivesUs: !settings.lab };
  }
  return {
    dataDirectory: mkdtempSync('/var/tmp/flotilla-quickstart-'),
    runtimeDirectory: mkdtempSync('/run/flotilla-quickstart-'),
    listen: '127.0.0.1:0',
    outlivesUs: false,
  };
}

/** Puts the three files into the cloud, unless it has these very bytes; answers the name of each. */
async function importImages(client, step) {
  const { files } = JSON.parse(readFileSync(settings.debian.manifest, 'utf8'));
  const names = {};
  for (const [part, { name: base, file, ...facts }] of Object.entries(IMAGES)) {
    const wanted = { ...facts, name: base, sha256: files[file].sha256 };
    const images = await client.images.list().all();
    const same = sameImage(wanted, images);
    names[part] = same?.name ?? freeName(base, new Set(images.map(({ name }) => name)));
    if (same !== undefined) tell(`The image ${same.name} of an earlier run is the same: it is used.`);
    else await made.image(client.images.import({ ...wanted, name: names[part], source: { path: settings.debian[part] } }, watching(step)));
  }
  return names;
}

async function makeMachine(client) {
  const images = await steps.step('Import kernel, initrd and disk', (step) => importImages(client, step));
  return steps.step('Create and start the machine', async (step) => {
    const name = freeName(MACHINE, await namesOf(client.machines.list()));
    if (name !== MACHINE) tell(`The machine ${MACHINE} of an earlier run stays as it is; this one is ${name}.`);
    return made.machine(
      client.machines.create(
        {
          name,
          cpus: 2,
          memoryMiB: MEMORY_MIB,
          boot: { kernel: images.kernel, initrd: images.initrd, commandLine: settings.debian.commandLine },
          disks: [{ name: 'root', image: images.disk, sizeMiB: DISK_MIB }],
          interfaces: [{ name: 'eth0', network: NETWORK }],
        },
        watching(step),
      ),
    );
  });
}

function tell(text) {
  steps.output.write(`  ${text}\n`);
}

/** Shows an operation's progress in the heartbeat of a step, and ends with ^C. */
function watching(step) {
  return {
    signal: interrupted.signal,
    onProgress: ({ kind, progress, steps: parts }) => {
      const part = parts?.find(({ state }) => state === 'running')?.name ?? '';
      const percent = progress?.percent === undefined ? '' : `${Math.round(progress.percent)} %`;
      step.note = [kind, part, percent].filter(Boolean).join(' ');
    },
  };
}

async function talk(machine) {
  const console = await machine.console({ signal: interrupted.signal });
  try {
    const dialog = new Dialog(console);
    await steps.step('Wait until Debian answers on its console', (step) =>
      dialog.read(PROMPT, {
        seconds: BOOT_SECONDS,
        hear: (line) => {
          step.note = line;
        },
      }),
    );
    // The login prompt may come before the network is up.
    await steps.step('Wait until the machine has its address', () => dialog.ask(HAS_ADDRESS, ADDRESS_SECONDS));
    for (const command of ['uname -a', 'ip addr']) {
      const answer = await steps.step(`Run "${command}" in the machine`, () => dialog.ask(command));
      process.stdout.write(`${answer}\n`);
    }
  } finally {
    console.close();
  }
}

async function ping(machine) {
  await steps.step('Ping the machine from the host', async (step) => {
    const address = await waitForAddress(machine, step);
    const answer = await step.run('ping', ['-c', '3', '-i', '0.2', '-W', '5', address], {
      remedy: 'flotilla doctor checks the host’s network.',
    });
    process.stdout.write(`${answer.trim()}\n`);
  });
}

async function waitForAddress(machine, step) {
  const deadline = Date.now() + ADDRESS_SECONDS * 1000;
  for (;;) {
    const { address } = await machine.refresh({ signal: interrupted.signal });
    if (address !== undefined) return address;
    if (Date.now() > deadline) throw new Failure('The machine got no address', 'flotilla network show default');
    step.note = 'no address yet';
    await sleep(250, undefined, { signal: interrupted.signal });
  }
}

async function cleanUp(client, orchestrator, place) {
  try {
    if (client !== undefined) {
      await made.remove(client);
      // In a place of its own nobody else uses the network: who ended before it is gone would leave it on the host.
      if (!settings.keep) await networkGone(client, NETWORK);
    }
  } finally {
    await orchestrator?.stop();
    if (!settings.keep) removeDirectories(place.dataDirectory, place.runtimeDirectory);
  }
}

async function report(before) {
  const left = leftSince(before);
  process.stdout.write(`\n${steps.table()}`);
  if (left.length > 0) throw new Failure(`Left on the host: ${left.join(', ')}`, 'This is a defect of Flotilla: please report it.');
  process.stdout.write('Everything was removed again. With --keep it stays: npm run quickstart -- --keep\n');
  return 0;
}

async function handOver(orchestrator, machine) {
  const programs = join(ROOT, 'node_modules/.bin');
  process.stdout.write(`\n${steps.table()}
The cloud goes on at ${orchestrator.url}${settings.lab ? ' inside the lab' : ` (process ${orchestrator.pid}, log ${orchestrator.log})`}. To go on, as root:
  export PATH=$PATH:${programs}
  flotilla machine list
  flotilla machine console ${machine.name}      (leave with ^])
  flotilla machine stop ${machine.name}
  flotilla machine delete ${machine.name}
`);
  if (!settings.lab) {
    process.stdout.write(`  kill ${orchestrator.pid}                             (ends the orchestrator; machines go on)\n`);
    return 0;
  }
  if (process.stdin.isTTY) {
    process.stdout.write('A shell inside the lab follows, which finds `flotilla`; its end is the end of the lab.\n');
    await shell(orchestrator, programs);
  } else {
    process.stdout.write('The lab stays until ^C.\n');
    await sleep(2 ** 31 - 1, undefined, { signal: interrupted.signal }).catch(() => undefined);
  }
  await orchestrator.stop(); // as long as it runs we do not end, and neither does the lab
  return 0;
}

/** The user's own shell settings may set PATH anew, so ours come after them. */
async function shell({ url, apiKey }, programs) {
  const settingsFile = join(tmpdir(), 'flotilla-shell');
  writeFileSync(settingsFile, `[ -f ~/.bashrc ] && . ~/.bashrc\nexport PATH="$PATH:${programs}"\n`);
  const env = { ...process.env, FLOTILLA_URL: url, FLOTILLA_API_KEY: apiKey };
  const child = spawn('bash', ['--rcfile', settingsFile], { stdio: 'inherit', env });
  // It does not hear the other signals, and its terminal may be gone.
  const end = () => child.kill('SIGHUP');
  interrupted.signal.addEventListener('abort', end);
  if (interrupted.signal.aborted) end();
  await new Promise((resolve) => child.on('exit', resolve));
}

await runMain('quickstart', main);
