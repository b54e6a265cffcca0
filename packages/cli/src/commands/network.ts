// SPDX-License-Identifier: Apache-2.0
import type { Network } from '@flotilla/sdk';
import type { Command } from 'commander';
import { contextOf } from '../context.js';
import { type Columns, print, printList, printOne } from '../output/render.js';
import { formatTable } from '../output/table.js';

const columns: Columns<Network> = [
  ['name', ({ name }) => name],
  ['kind', ({ kind }) => kind],
  ['subnet', ({ ipv4 }) => ipv4.subnet],
  ['gateway', ({ ipv4 }) => ipv4.gateway],
  ['bridge', ({ bridge }) => bridge],
  ['state', ({ state }) => state],
];

export function addNetworkCommands(program: Command): void {
  const network = program.command('network').description('networks that machines are on');
  network
    .command('list')
    .description('list the networks')
    .action(async (_options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printList(await client.networks.list({}, { signal }).all(), columns, output);
    });
  network
    .command('show <network>')
    .description('show a network and the addresses on it')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      const found = await client.networks.get(name, { signal });
      printOne(found, columns, output);
      if (output !== 'table' || found.leases.length === 0) return;
      print(
        `\n${formatTable(
          ['mac', 'ip', 'machine', 'state', 'expires'],
          found.leases.map(({ mac, ip, machine, state, expiresAt }) => [mac, ip, machine, state, expiresAt]),
        )}`,
      );
    });
}
