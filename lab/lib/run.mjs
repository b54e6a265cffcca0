// SPDX-License-Identifier: Apache-2.0
// Runs one command in a lab of its own: the library face of the lab.

import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { Failure } from '../../scripts/lib/failure.mjs';
import { labEnvironment } from './environment.mjs';
import { prepareLabImage } from './image.mjs';
import { STATUS_LAB_FAILED, STATUS_TIMED_OUT } from './options.mjs';
import { shareDirectory, startBound } from './processes.mjs';
import { QEMU, VIRTIOFSD, chooseAccelerator, processorsFor, qemuArguments, timeStampKilohertz } from './qemu.mjs';
import { Session } from './session.mjs';
import { Workspace } from './workspace.mjs';

const START_DEADLINE_MS = 120_000;
/** Longest sleep of an emulated processor that lost an interrupt. */
const TICK_MS = 1_000;
/** Between the polite signal after --timeout and the end of the lab. */
const GRACE_MS = 5_000;

/**
 * @typedef {object} LabOptions
 * @property {readonly string[]} command program and arguments; no shell in between
 * @property {number} [memory] MiB (4096)
 * @property {number} [cpus] (what `processorsFor` says)
 * @property {number} [timeout] seconds until the command gets SIGTERM, and five more until the lab ends
 * @property {readonly string[]} [writable] absolute directories whose changes stay on the host; made when missing
 * @property {Record<string, string>} [env] added to the variables that are passed on
 * @property {string} [cwd] ours
 * @property {'null' | 'pipe' | 'terminal'} [stdin] 'null'; the others need `input`
 * @property {import('node:stream').Readable} [input]
 * @property {import('node:stream').Writable} [output] where standard output goes (process.stdout)
 * @property {import('node:stream').Writable} [errorOutput] where standard error goes (process.stderr)
 * @property {{ rows: number, columns: number }} [window] first size of the terminal
 * @property {'kvm' | 'tcg'} [accelerator]
 * @property {'host' | 'instructions'} [clock] what the lab's time is; instructions: only with tcg, and only for measurements ('host')
 * @property {AbortSignal} [signal] ends the lab at once
 * @property {(session: Session) => void} [onStarted] the command runs; `session` takes signals and window sizes
 */

/**
 * @param {LabOptions} options
 * @returns {Promise<{ status: number, startSeconds: number, seconds: number, console: string }>} status as the shell has
 *   it (128 + n for signal n, 124 after the timeout); how long until the command ran, and in all; the kernel's messages
 * @throws {Failure} when the lab itself fails; its exitStatus is 125
 */
export async function runInLab(options) {
  checkHost();
  options.signal?.throwIfAborted();
  const image = await prepareLabImage();
  const workspace = new Workspace();
  const helpers = [];
  try {
    return await run(options, image, workspace, helpers);
  } finally {
    await Promise.all(helpers.map((helper) => helper.kill()));
    workspace.remove();
  }
}

async function run(options, image, workspace, helpers) {
  const { memory = 4096, writable = [], clock = 'host' } = options;
  const { accelerator = clock === 'host' ? chooseAccelerator() : 'tcg', cpus = processorsFor(accelerator) } = options;
  const began = performance.now();
  const portSocket = workspace.path('port.sock');
  const { connection, close } = await listen(portSocket);
  try {
    const shares = await startShares(writable, workspace, helpers);
    const qemu = startBound(
      QEMU,
      qemuArguments({
        image,
        memory,
        cpus,
        accelerator,
        clock,
        portSocket,
        shares,
        consoleFile: workspace.consoleFile,
        kilohertz: timeStampKilohertz(image, accelerator, clock),
      }),
      workspace.logFile,
    );
    helpers.unshift(qemu);
    const session = new Session(await Promise.race([connection, qemu.ended.then((how) => fail(`QEMU ${how}`, workspace))]), {
      output: options.output ?? process.stdout,
      errorOutput: options.errorOutput ?? process.stderr,
      input: options.stdin && options.stdin !== 'null' ? options.input : undefined,
    });
    session.start(records(options, image, writable));
    const ended = Promise.race([session.ended, qemu.ended.then((how) => session.endedOr(`The lab’s machine ${how}`))]);
    const { status, startSeconds } = await supervise(
      { ...options, ticks: accelerator === 'tcg' && clock === 'host' },
      session,
      ended,
      began,
      workspace,
    );
    return { status, startSeconds, seconds: (performance.now() - began) / 1000, console: workspace.lastWords(1000) };
  } finally {
    close();
  }
}

/** Waits for the command's end, the timeout, or the caller's abort. */
async function supervise(options, session, ended, began, workspace) {
  const timers = [];
  const after = (milliseconds) => new Promise((resolve) => timers.push(setTimeout(resolve, milliseconds)));
  let timedOut = false;
  const outcome = ended.then((how) => {
    if (how.failure !== undefined) throw labFailure(how.failure);
    if (how.death !== undefined) fail(how.death, workspace);
    return timedOut ? STATUS_TIMED_OUT : how.status;
  });
  try {
    await Promise.race([
      session.started,
      outcome,
      aborted(options.signal),
      after(START_DEADLINE_MS).then(() => fail(`No sign of life after ${START_DEADLINE_MS / 1000} s`, workspace)),
    ]);
    const startSeconds = (performance.now() - began) / 1000;
    options.onStarted?.(session);
    if (options.ticks) timers.push(setInterval(() => session.tick(), TICK_MS));
    const races = [outcome, aborted(options.signal)];
    if (options.timeout !== undefined) {
      races.push(
        after(options.timeout * 1000).then(async () => {
          timedOut = true;
          session.signal('SIGTERM');
          await after(GRACE_MS);
          return STATUS_TIMED_OUT;
        }),
      );
    }
    return { status: await Promise.race(races), startSeconds };
  } finally {
    timers.forEach(clearTimeout);
  }
}

function aborted(signal) {
  return new Promise((_, reject) => {
    if (signal?.aborted) reject(signal.reason);
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

async function startShares(writable, workspace, helpers) {
  const wanted = [
    { tag: 'host', directory: '/', cache: 'always' },
    ...writable.map((directory, index) => ({ tag: `writable${index}`, directory, cache: 'auto' })),
  ];
  const shares = wanted.map((share) => ({ ...share, socket: workspace.path(`${share.tag}.sock`) }));
  for (const share of shares) {
    if (!existsSync(share.directory)) throw labFailure(`--writable ${share.directory} does not exist`, 'Make it first.');
  }
  const servers = await Promise.allSettled(shares.map((share) => shareDirectory({ ...share, logFile: workspace.logFile })));
  for (const server of servers) if (server.status === 'fulfilled') helpers.push(server.value);
  for (const server of servers) if (server.status === 'rejected') throw server.reason;
  return shares;
}

function records(options, image, writable) {
  const { command, env = {}, cwd = process.cwd(), stdin = 'null', window } = options;
  return [
    ...command.map((word) => ['arg', word]),
    ...Object.entries(labEnvironment(process.env, env)).map(([name, value]) => ['env', `${name}=${value}`]),
    ...writable.map((directory, index) => ['writable', `writable${index}:${directory}`]),
    ['cwd', cwd],
    ['modules', image.modules],
    ['stdin', stdin],
    ...(window
      ? [
          ['rows', String(window.rows)],
          ['columns', String(window.columns)],
        ]
      : []),
  ];
}

/** The emulator connects to us: a socket is there before it starts, and its end is seen at once. */
async function listen(path) {
  const server = createServer();
  const connection = new Promise((resolve) => server.once('connection', resolve));
  await new Promise((resolve, reject) => server.once('error', reject).listen(path, resolve));
  return {
    connection,
    close: () => {
      server.close();
      void connection.then((socket) => socket.destroy());
    },
  };
}

function checkHost() {
  const missing = [
    ['/usr/bin/qemu-system-x86_64', 'qemu-system-x86'],
    [VIRTIOFSD, 'qemu-system-common'],
  ]
    .filter(([path]) => !existsSync(path))
    .map(([, name]) => name);
  if (missing.length > 0) {
    throw labFailure('The lab needs QEMU', `apt-get install --no-install-recommends ${missing.join(' ')}   (or: npm run setup)`);
  }
  if (process.getuid?.() !== 0) {
    throw labFailure('The lab needs root: it shows the host’s whole file system to its machine', 'Run it with sudo.');
  }
}

function labFailure(message, remedy = '') {
  return new Failure(message, remedy, { exitStatus: STATUS_LAB_FAILED });
}

function fail(message, workspace) {
  const words = workspace.lastWords();
  throw labFailure(words === '' ? message : `${message}. Its last words:\n${words}`);
}
