// SPDX-License-Identifier: Apache-2.0
// `npm run quickstart [-- --keep]`: from a fresh clone to a Debian machine that answers, on this host or in the lab.
// This first stage uses nothing but Node; the second one (quickstart/second-stage.mjs) is a client of the public SDK.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { buildDebian, isDebianReady } from '../guest/debian/build.mjs';
import { isLabImageReady, prepareLabImage } from '../lab/lib/image.mjs';
import { runInLab } from '../lab/lib/run.mjs';
import { Failure, runMain } from './lib/failure.mjs';
import { Steps } from './lib/steps.mjs';
import { requireRoot } from './quickstart/privilege.mjs';
import { carryOut, describeHost, describePlan, planSetup } from './setup/index.mjs';
import { ROOT } from './setup/workspace.mjs';

const USAGE = 'Usage: npm run quickstart [-- --keep]\n  --keep   leave the machine running at the end, and say how to go on\n';
const SECOND_STAGE = join(ROOT, 'scripts/quickstart/second-stage.mjs');
const LAB_MEMORY_MIB = 4096;
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

async function main() {
  const args = process.argv.slice(2);
  if (args.includes('--help')) {
    process.stdout.write(USAGE);
    return 0;
  }
  const unknown = args.find((word) => word !== '--keep');
  if (unknown !== undefined) throw new Failure(`${unknown} is not understood`, USAGE.trim());
  return quickstart(args.includes('--keep'));
}

async function quickstart(keep) {
  const plan = planSetup(['build', 'run', 'guest', 'lab']);
  const lab = plan.host.kvm !== 'hardware';
  announce(plan, lab);
  requireRoot(plan.host, keep ? ['--keep'] : []);
  const steps = new Steps('quickstart');
  await carryOut(plan, steps);
  const debian = await buildDebian(steps);
  if (lab) await prepareLabImage(steps);
  const settings = { keep, lab, debian, steps: steps.durations, handedOverAt: Date.now() };
  const env = { FLOTILLA_QUICKSTART: JSON.stringify(settings) };
  return lab ? inLab(env, keep) : onHost(env);
}

function announce({ host, ...plan }, lab) {
  const lines = describePlan(plan);
  if (!isDebianReady()) lines.push('make a Debian 12 kernel and root disk');
  if (lab && !isLabImageReady()) lines.push('make the lab’s kernel and initramfs');
  lines.push('start an orchestrator, create a Debian machine, talk to it');
  process.stderr.write(`Host: ${describeHost(host)}\n`);
  if (lab)
    process.stderr.write(
      'No usable hardware KVM here: the machine will run in the lab, an emulated host with a real KVM, far slower than hardware.\n',
    );
  process.stderr.write(lines.map((line) => `Will ${line}\n`).join(''));
}

async function inLab(env, keep) {
  const terminal = keep && process.stdin.isTTY === true && process.stdout.isTTY === true;
  const control = new AbortController();
  let session;
  for (const [name, exitStatus] of Object.entries(SIGNALS)) {
    process.on(name, () =>
      session === undefined ? control.abort(new Failure(`Ended by ${name}`, '', { exitStatus })) : session.signal(name),
    );
  }
  try {
    const { status } = await runInLab({
      command: [process.execPath, SECOND_STAGE],
      cwd: ROOT,
      env,
      memory: LAB_MEMORY_MIB,
      stdin: terminal ? 'terminal' : 'null',
      input: terminal ? process.stdin : undefined,
      window: terminal && process.stdout.rows > 0 ? { rows: process.stdout.rows, columns: process.stdout.columns } : undefined,
      signal: control.signal,
      onStarted: (started) => {
        session = started;
        if (terminal) process.stdin.setRawMode(true);
      },
    });
    return status;
  } finally {
    if (terminal) process.stdin.setRawMode(false);
    process.stdin.destroy();
  }
}

function onHost(env) {
  const child = spawn(process.execPath, [SECOND_STAGE], { cwd: ROOT, stdio: 'inherit', env: { ...process.env, ...env } });
  for (const name of Object.keys(SIGNALS)) process.on(name, () => child.kill(name));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (status, signal) => resolve(status ?? SIGNALS[signal] ?? 1));
  });
}

await runMain('quickstart', main);
