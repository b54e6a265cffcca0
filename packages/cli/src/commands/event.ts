// SPDX-License-Identifier: Apache-2.0
import { AbortedError, type Event } from '@flotilla/sdk';
import type { Command } from 'commander';
import { contextOf } from '../context.js';
import { print } from '../output/render.js';
import { patientRetries } from '../patience.js';
import { collect, SuggestingOption, wholeNumber } from '../values.js';

/** A kind that is not here yet, or is no more, does not compile. */
const kinds: Readonly<Record<Event['kind'], true>> = {
  'machine.created': true,
  'machine.updated': true,
  'machine.state': true,
  'machine.watchdog': true,
  'machine.disk_full': true,
  'machine.link_lost': true,
  'machine.share_lost': true,
  'machine.deleted': true,
  'operation.created': true,
  'operation.updated': true,
  'image.created': true,
  'image.ready': true,
  'image.failed': true,
  'image.deleted': true,
  'network.created': true,
  'network.updated': true,
  'network.ready': true,
  'network.lease': true,
  'network.deleted': true,
  'volume.created': true,
  'volume.ready': true,
  'volume.updated': true,
  'volume.failed': true,
  'volume.deleted': true,
  'pool.created': true,
  'pool.updated': true,
  'pool.state': true,
  'pool.guard': true,
  'pool.deleted': true,
  'key.created': true,
  'key.deleted': true,
};

interface WatchOptions {
  readonly kind?: readonly string[];
  readonly target?: string;
  readonly after?: number;
}

export function addEventCommands(program: Command): void {
  const event = program.command('event').description('what happens');
  event
    .command('watch')
    .description('print events as they happen, until ^C; with -o json one object on each line; a lost orchestrator is waited for')
    .addOption(
      new SuggestingOption(
        '--kind <kind>',
        'only events of this kind, or of a group as machine.* (may be repeated)',
        Object.keys(kinds),
      ).argParser(collect),
    )
    .option('--target <id>', 'only events about this resource')
    .option('--after <id>', 'begin after this event', wholeNumber)
    .action(async (options: WatchOptions, command: Command) => {
      const { client, output, signal } = contextOf(command);
      const { kind, ...rest } = options;
      try {
        const filter = { ...rest, ...(kind === undefined ? {} : { kinds: kind }) };
        const events = await client.events(filter, { signal, maxRetries: patientRetries() }).opened();
        for await (const one of events) {
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
