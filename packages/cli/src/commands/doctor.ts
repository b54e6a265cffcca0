// SPDX-License-Identifier: Apache-2.0
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { dataDirectory, type GlobalOptions } from '../context.js';
import { ExitStatus } from '../failure.js';
import { type OutputFormat, print, serialize } from '../output/render.js';

/** `flotilla doctor`: what this host can do, and how to mend what it cannot. Needs no orchestrator. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('say what this host can do, and how to mend what it cannot')
    .option('--data-dir <path>', 'where the orchestrator will keep its data, if not at the usual place')
    .action(async (options: { dataDir?: string }, command: Command) => {
      const { checkHost } = await import('@flotilla/native');
      const report = await checkHost({ dataDirectory: resolve(options.dataDir ?? dataDirectory()) });
      print(reportText(report, command.optsWithGlobals<GlobalOptions>().output));
      process.exitCode = reportStatus(report);
    });
}

interface Report {
  readonly checks: readonly Check[];
}

export function reportText(report: Report, output: OutputFormat): string {
  if (output === 'json' || output === 'yaml') return serialize(report, output);
  return report.checks.map(output === 'name' ? ({ id }) => id : describe).join('\n');
}

/** What is missing is a failure; what is degraded works. */
export function reportStatus(report: Report): number {
  return report.checks.some(({ status }) => status === 'missing') ? ExitStatus.failed : ExitStatus.ok;
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
