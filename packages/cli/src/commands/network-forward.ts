// SPDX-License-Identifier: Apache-2.0
// Ports of the host that lead to machines, on the command line.
import type { AddForward, NetworkForward } from '@flotilla/sdk';
import { type Command, InvalidArgumentError } from 'commander';
import { contextOf } from '../context.js';
import { type Columns, printList, printOne, say } from '../output/render.js';

type Ports = Pick<AddForward, 'protocol' | 'hostAddress' | 'hostPort' | 'guestPort'>;

const columns: Columns<NetworkForward> = [
  ['id', ({ id }) => id],
  ['protocol', ({ protocol }) => protocol],
  ['host', ({ hostAddress, hostPort }) => `${hostAddress ?? '*'}:${hostPort}`],
  ['guest', ({ address, guestPort }) => `${address}:${guestPort}`],
  ['machine', ({ machine }) => machine],
  ['interface', ({ interface: name }) => name],
];

export function addForwardCommands(network: Command): void {
  network
    .command('forwards <network>')
    .description('list the ports of the host that lead to machines on a network')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printList(await client.networks.forwards(name, {}, { signal }).all(), columns, output);
    });
  network
    .command('forward <network> <forward>')
    .description('lead a port of the host to a machine: tcp|udp:[ADDRESS:]PORT OF THE HOST:PORT OF THE GUEST')
    .requiredOption('--machine <machine>', 'the machine, on a network of the kind nat')
    .option('--interface <name>', 'its interface there (default: the only one)')
    .action(async (name: string, text: string, options: { readonly machine: string; readonly interface?: string }, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne(await client.networks.addForward(name, { ...ports(text), ...options }, { signal }), columns, output);
    });
  network
    .command('unforward <network> <id>')
    .description('take a forward away')
    .action(async (name: string, id: string, _options: unknown, command: Command) => {
      const { client, signal } = contextOf(command);
      await client.networks.removeForward(name, id, { signal });
      say(`Forward ${id} is taken away.`);
    });
}

/** `tcp:8080:80`, `udp:192.0.2.1:53:53`. */
export function ports(text: string): Ports {
  const [, protocol, hostAddress, hostPort, guestPort] = /^(tcp|udp):(?:([\d.]+):)?(\d{1,5}):(\d{1,5})$/.exec(text) ?? [];
  if (protocol !== 'tcp' && protocol !== 'udp')
    throw new InvalidArgumentError('Give tcp|udp:[ADDRESS:]PORT OF THE HOST:PORT OF THE GUEST, for example tcp:8080:80.');
  return {
    protocol,
    ...(hostAddress === undefined ? {} : { hostAddress }),
    hostPort: Number(hostPort),
    guestPort: Number(guestPort),
  };
}
