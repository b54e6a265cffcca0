// SPDX-License-Identifier: Apache-2.0
import { CommanderError } from 'commander';
import { exitStatus, describeFailure } from './failure.js';
import { makeProgram } from './program.js';

/** Runs the command line; what it prints goes to stdout, what it says to stderr. */
async function main(): Promise<void> {
  const program = makeProgram();
  try {
    await program.parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    process.stderr.write(`${describeFailure(error)}\n`);
    process.exitCode = exitStatus(error);
  }
}

// A reader that has seen enough (`flotilla machine list | head -1`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
await main();
