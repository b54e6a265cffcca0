// SPDX-License-Identifier: Apache-2.0
import type { DefineNetwork, Network, UpdateNetwork } from '@flotilla/sdk';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { contextOf } from '../context.js';
import { type Columns, print, printList, printOne, say } from '../output/render.js';
import { formatTable } from '../output/table.js';
import { addForwardCommands } from './network-forward.js';
import { collect, collectLabel, wholeNumber } from '../values.js';

const columns: Columns<Network> = [
  ['name', ({ name }) => name],
  ['kind', ({ kind }) => kind],
  ['subnet', ({ ipv4 }) => ipv4?.subnet],
  ['gateway', ({ ipv4 }) => ipv4?.gateway],
  ['bridge', ({ bridge }) => bridge],
  ['state', ({ state }) => state],
];

/** What a person wants to know of one, beside what the list has. */
const details: Columns<Network> = [
  ['id', ({ id }) => id],
  ...columns,
  ['dhcp range', ({ ipv4 }) => ipv4?.dhcpRange],
  ['domain', ({ domain }) => domain],
  ['mtu', ({ mtu }) => mtu],
  ['between', ({ isolateMachines }) => (isolateMachines ? 'machines are kept from each other' : 'machines reach each other')],
  ['anti-spoofing', ({ antiSpoofing }) => (antiSpoofing ? 'on' : 'off')],
  [
    'labels',
    ({ labels }) =>
      Object.entries(labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(', '),
  ],
];

type Labels = Record<string, string>;

interface DefineOptions {
  readonly kind: DefineNetwork['kind'];
  readonly subnet?: string;
  readonly gateway?: string;
  readonly dhcpRange?: string;
  readonly bridge?: string;
  readonly mtu?: number;
  readonly domain?: string;
  readonly isolateMachines?: true;
  readonly antiSpoofing: boolean;
  readonly label?: Labels;
}
interface SetOptions {
  readonly isolateMachines?: string;
  readonly antiSpoofing?: string;
  readonly mtu?: number | 'none';
  readonly domain?: string;
  readonly label?: Labels;
  readonly unlabel?: readonly string[];
}

export function addNetworkCommands(program: Command): void {
  const network = program.command('network').description('networks that machines are on');
  network
    .command('list')
    .description('list the networks')
    .option('--label <key=value>', 'only with this label (may be repeated)', collectLabel)
    .action(async ({ label }: { readonly label?: Labels }, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printList(await client.networks.list(label === undefined ? {} : { labels: label }, { signal }).all(), columns, output);
    });
  addShowCommand(network);
  addDefineCommand(network);
  addSetCommand(network);
  addForwardCommands(network);
  network
    .command('delete <network>')
    .description('delete a network that no machine is on')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, signal } = contextOf(command);
      await client.networks.delete(name, { signal });
      say(`Network ${name} is deleted.`);
    });
}

function addShowCommand(network: Command): void {
  network
    .command('show <network>')
    .description('show a network and the addresses on it')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      const found = await client.networks.get(name, { signal });
      printOne(found, details, output);
      if (output !== 'table' || found.leases.length === 0) return;
      print(
        `\n${formatTable(
          ['mac', 'ip', 'machine', 'state', 'expires'],
          found.leases.map(({ mac, ip, machine, state, expiresAt }) => [mac, ip, machine, state, expiresAt]),
        )}`,
      );
    });
}

function addDefineCommand(network: Command): void {
  network
    .command('define <name>')
    .description('define a network')
    .addOption(new Option('--kind <kind>', 'whom its machines reach').choices(['nat', 'isolated', 'routed', 'bridge']).default('nat'))
    .option('--subnet <subnet>', 'such as 10.90.0.0/24 (default: one that is free)')
    .option('--gateway <address>', 'address of the host on it (default: the first)')
    .option('--dhcp-range <first-last>', 'addresses that machines are given (default: all)')
    .option('--bridge <name>', 'kind bridge: a bridge of the host')
    .option('--mtu <bytes>', 'MTU of its links, which machines are told of (default: 1500)', wholeNumber)
    .option('--domain <domain>', 'domain of the names of its machines (default: flotilla.internal)')
    .option('--isolate-machines', 'keep its machines from each other')
    .option('--no-anti-spoofing', 'let machines send from any address')
    .option('--label <key=value>', 'label (may be repeated)', collectLabel)
    .action(async (name: string, options: DefineOptions, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne(await client.networks.define(toDefinition(name, options), { signal }), details, output);
    });
}

function addSetCommand(network: Command): void {
  network
    .command('set <network>')
    .description('change the MTU, the domain, rules or labels of a network')
    .option('--mtu <bytes|none>', 'MTU of its links, which machines are told of', mtuOrNone)
    .option('--domain <domain>', 'domain of the names of its machines')
    .addOption(new Option('--isolate-machines <state>', 'whether its machines are kept from each other').choices(['on', 'off']))
    .addOption(new Option('--anti-spoofing <state>', 'whether machines may send from their own addresses alone').choices(['on', 'off']))
    .option('--label <key=value>', 'add or change a label (may be repeated)', collectLabel)
    .option('--unlabel <key>', 'take a label away (may be repeated)', collect)
    .action(async (name: string, options: SetOptions, command: Command) => {
      const { client, output, signal } = contextOf(command);
      const found = await client.networks.get(name, { signal });
      const change = toChange(found, options);
      const ifMatch = change.labels === undefined ? {} : { ifMatch: `"${found.generation}"` };
      printOne(await client.networks.update(name, change, { signal, ...ifMatch }), details, output);
    });
}

/** The body of the request that the options mean. */
function toDefinition(
  name: string,
  { kind, subnet, gateway, dhcpRange, bridge, mtu, domain, isolateMachines, antiSpoofing, label }: DefineOptions,
): DefineNetwork {
  const ipv4 = {
    ...(subnet === undefined ? {} : { subnet }),
    ...(gateway === undefined ? {} : { gateway }),
    ...(dhcpRange === undefined ? {} : { dhcpRange }),
  };
  return {
    name,
    kind,
    ...(Object.keys(ipv4).length === 0 ? {} : { ipv4 }),
    ...(bridge === undefined ? {} : { bridge }),
    ...(mtu === undefined ? {} : { mtu }),
    ...(domain === undefined ? {} : { domain }),
    ...(isolateMachines === undefined ? {} : { isolateMachines }),
    ...(antiSpoofing ? {} : { antiSpoofing }),
    ...(label === undefined ? {} : { labels: label }),
  };
}

function toChange(
  { labels }: Network,
  { mtu, domain, isolateMachines, antiSpoofing, label = {}, unlabel = [] }: SetOptions,
): UpdateNetwork {
  const relabelled = Object.fromEntries(Object.entries({ ...labels, ...label }).filter(([key]) => !unlabel.includes(key)));
  return {
    ...(mtu === undefined ? {} : { mtu: mtu === 'none' ? null : mtu }),
    ...(domain === undefined ? {} : { domain }),
    ...(isolateMachines === undefined ? {} : { isolateMachines: isolateMachines === 'on' }),
    ...(antiSpoofing === undefined ? {} : { antiSpoofing: antiSpoofing === 'on' }),
    ...(Object.keys(label).length + unlabel.length === 0 ? {} : { labels: relabelled }),
  };
}

/** `9000`, or `none`. */
function mtuOrNone(text: string): number | 'none' {
  if (text === 'none') return text;
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('Give a number such as 9000, or none.');
  return Number(text);
}
