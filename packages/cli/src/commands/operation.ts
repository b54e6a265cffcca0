// SPDX-License-Identifier: Apache-2.0
import type { Operation } from '@flotilla/sdk';
import { type Command, Option } from 'commander';
import { contextOf } from '../context.js';
import { showProgress } from '../output/progress.js';
import { type Columns, printList, printOne } from '../output/render.js';
import { age } from '../output/table.js';
import { patientRetries } from '../patience.js';

const columns: Columns<Operation> = [
  ['id', ({ id }) => id],
  ['kind', ({ kind }) => kind],
  ['target', ({ target }) => target.name ?? target.id],
  ['state', ({ state }) => state],
  ['step', ({ steps }) => steps.find(({ state }) => state === 'running')?.name],
  ['age', ({ createdAt }) => age(createdAt)],
  ['error', ({ error }) => error?.code],
];

const detailed: Columns<Operation> = [...columns, ['detail', ({ error }) => error?.detail], ['remedy', ({ error }) => error?.remedy]];

export function addOperationCommands(program: Command): void {
  const operation = program.command('operation').description('changes under way and past ones');
  operation
    .command('list')
    .description('list operations, oldest first')
    .option('--target <id>', 'only those on this resource')
    .addOption(
      new Option('--state <state>', 'only those in this state').choices([
        'pending',
        'running',
        'succeeded',
        'failed',
        'cancelled',
      ] satisfies Operation['state'][]),
    )
    .action(async (options: { target?: string; state?: Operation['state'] }, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printList(await client.operations.list(options, { signal }).all(), columns, output);
    });
  operation
    .command('show <operation>')
    .description('show an operation')
    .action(async (id: string, _options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne(await client.operations.get(id, { signal }), detailed, output);
    });
  operation
    .command('watch <operation>')
    .description('follow an operation to its end; the exit status is its outcome; a lost orchestrator is waited for')
    .action(async (id: string, _options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      await client.operations.get(id, { signal }); // who is not there at first is not waited for
      const ended = await client.operations.wait(id, { signal, maxRetries: patientRetries(), onProgress: showProgress() });
      printOne(ended, columns, output);
    });
}
