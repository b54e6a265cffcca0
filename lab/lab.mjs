// SPDX-License-Identifier: Apache-2.0
// `npm run lab -- command`: see lab/README.md.

import { Failure, runMain } from '../scripts/lib/failure.mjs';
import { prepareLabImage } from './lib/image.mjs';
import { STATUS_LAB_FAILED, USAGE, parseOptions } from './lib/options.mjs';
import { runInLab } from './lib/run.mjs';

/** Between the first ^C and the end of the lab, when the command does not end by itself. */
const GRACE_MS = 5_000;
const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGTERM: 15 };

async function main() {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  if (options.prepare) {
    await prepareLabImage();
    return 0;
  }
  const { stdin } = process;
  const terminal = !options.noStdin && stdin.isTTY === true && process.stdout.isTTY === true;
  const passInput = terminal || (options.stdin === true && !options.noStdin);
  const control = new AbortController();
  let session;
  handleSignals(() => session, control);
  try {
    const result = await runInLab({
      ...options,
      stdin: terminal ? 'terminal' : passInput ? 'pipe' : 'null',
      input: passInput ? stdin : undefined,
      window: terminal && process.stdout.rows > 0 ? { rows: process.stdout.rows, columns: process.stdout.columns } : undefined,
      signal: control.signal,
      onStarted: (started) => {
        session = started;
        if (terminal) attachTerminal(started);
      },
    });
    if (options.verbose) {
      process.stderr.write(
        `${result.console}\nlab: command ran after ${result.startSeconds.toFixed(2)} s, all took ${result.seconds.toFixed(2)} s\n`,
      );
    }
    return result.status;
  } finally {
    if (terminal) stdin.setRawMode(false);
    stdin.destroy();
  }
}

/**
 * The first signal goes to the command once it runs, which then has a few seconds to end; before that, and the second
 * time, the lab ends at once.
 */
function handleSignals(running, control) {
  let asked = false;
  for (const name of Object.keys(SIGNAL_NUMBERS)) {
    process.on(name, () => {
      const session = running();
      if (asked || session === undefined) {
        control.abort(endedBy(name));
        return;
      }
      asked = true;
      session.signal(name);
      setTimeout(() => control.abort(endedBy(name)), GRACE_MS).unref();
    });
  }
}

/** Our terminal hands over its keys as they are, and its size. */
function attachTerminal(session) {
  process.stdin.setRawMode(true);
  process.stdout.on('resize', () => session.resize(process.stdout.rows, process.stdout.columns));
}

function endedBy(name) {
  return new Failure(`Ended by ${name}`, '', { exitStatus: 128 + SIGNAL_NUMBERS[name] });
}

await runMain('lab', main, STATUS_LAB_FAILED);
