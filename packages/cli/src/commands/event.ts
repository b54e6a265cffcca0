// SPDX-License-Identifier: Apache-2.0
import { AbortedError, type Event } from '@flotilla/sdk';
import type { Command } from 'commander';
import { contextOf } from '../context.js';
import { print } from '../output/render.js';
import { collect, wholeNumber } from '../values.js';

interface WatchOptions {
  readonly kind?: readonly string[];
  readonly target?: string;
  readonly after?: number;
}

export function addEventCommands(program: Command): void {
  const event = program.command('event').description('what happens');
  event
    .command('watch')
    .description('print events as they happen, until ^C; with -o json one object on each line')
    .option('--kind <kind>', 'only events of this kind (may be repeated)', collect)
    .option('--target <id>', 'only events about this resource')
    .option('--after <id>', 'begin after this event', wholeNumber)
    .action(async (options: WatchOptions, command: Command) => {
      const { client, output, signal } = contextOf(command);
      const { kind, ...rest } = options;
      try {
        for await (const one of client.events({ ...rest, ...(kind === undefined ? {} : { kinds: kind }) }, { signal })) {
          print(output === 'json' ? JSON.stringify(one) : describe(one));
        }
      } catch (error) {
        if (!(error instanceof AbortedError)) throw error;
      }
    });
}

function describe(event: Event): string {
  return `${event.time}  ${event.kind.padEnd(20)}  ${event.target.name ?? event.target.id}  ${JSON.stringify(event.data)}`;
}
