// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import type { GlobalOptions } from '../context.js';
import { print, serialize } from '../output/render.js';

/** `flotilla doctor`: what this host can do, and how to mend what it cannot. Needs no orchestrator. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('say what this host can do, and how to mend what it cannot')
    .action(async (_options: unknown, command: Command) => {
      const { checkHost } = await import('@flotilla/native');
      const report = await checkHost();
      const { output } = command.optsWithGlobals<GlobalOptions>();
      if (output === 'json' || output === 'yaml') print(serialize(report, output));
      else print(report.checks.map(describe).join('\n'));
      if (report.checks.some(({ status }) => status === 'missing')) process.exitCode = 1;
    });
}

interface Check {
  readonly id: string;
  readonly title: string;
  readonly status: string;
  readonly detail: string;
  readonly meaning: string;
  readonly remedy?: string | undefined;
}

/** What is well takes one line; what is not also says what that means and how to mend it. */
function describe(check: Check): string {
  const line = `${check.status.padEnd(9)} ${check.title}: ${check.detail}`;
  if (check.status === 'ok') return line;
  const indent = ' '.repeat(10);
  return [line, `${indent}${check.meaning}`, ...(check.remedy === undefined ? [] : [`${indent}Mend: ${check.remedy}`])].join('\n');
}
