// SPDX-License-Identifier: Apache-2.0
// An expected failure: what went wrong and what to do about it, for a person. Printed without a stack.

export class Failure extends Error {
  /**
   * @param {string} message what went wrong
   * @param {string} [remedy] what to do now
   * @param {{ cause?: unknown, exitStatus?: number }} [options]
   */
  constructor(message, remedy = '', { cause, exitStatus = 1 } = {}) {
    super(message, { cause });
    this.name = 'Failure';
    this.remedy = remedy;
    this.exitStatus = exitStatus;
  }
}

/** Runs a script's main function; an expected failure becomes two lines and its exit status, anything else a stack. */
export async function runMain(name, main, unexpectedStatus = 1) {
  try {
    process.exitCode = (await main()) ?? 0;
  } catch (error) {
    if (error instanceof Failure) {
      process.stderr.write(`${name}: ${error.message}\n${error.remedy ? `  → ${error.remedy}\n` : ''}`);
      process.exitCode = error.exitStatus;
    } else {
      process.stderr.write(`${name}: unexpected error\n${error instanceof Error ? error.stack : String(error)}\n`);
      process.exitCode = unexpectedStatus;
    }
  }
}
