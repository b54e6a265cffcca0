// SPDX-License-Identifier: Apache-2.0
// Runs in network and process namespaces of its own: three machines on a network that looks for spoofed addresses, then keeps them from each other, then
// does neither. Tells as JSON what of theirs got through.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { NatNetwork } from '../../src/agent/network/nat/nat-network.js';
import { CommandRunner } from '../../src/agent/runner/command-runner.js';
import { Namespace, until } from './namespace.js';
import { command } from './probe-network.js';

const directory = mkdtempSync(join(tmpdir(), 'flotilla-guard-'));
chmodSync(directory, 0o711); // dnsmasq gives root up
const runner = new CommandRunner(pino({ level: 'silent' }));
let next: Namespace;
const native = {
  createTap: ({ name }: { name: string }) =>
    runner.run('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(next.pid)]).then(() => undefined),
  deleteTap: (name: string) => runner.run('ip', ['link', 'delete', 'dev', name]).then(() => undefined),
};
const networks = new NatNetwork(runner, { stateDirectory: join(directory, 'state'), runtimeDirectory: join(directory, 'run'), native });
const macOf = (last: number) => `02:f1:00:00:00:0${last}`;
const reservations = [2, 3, 4].map((last) => ({
  mac: macOf(last),
  ip: `10.77.0.${last}`,
  hostname: `m${last}`,
  machineId: `mac-${last}`,
  interface: 'eth0',
}));
const network = { ...command, id: 'net-guard', name: 'guard', reservations };
const guarded = { ...network, antiSpoofing: true };

await networks.ensureNetwork(guarded);
const [one, two, three] = [await machine(2), await machine(3), await machine(4)];
const script = join(directory, 'script');
writeFileSync(script, '#!/bin/sh\n[ "$1" = bound ] && echo "got $ip"\nexit 0\n', { mode: 0o755 });
const asked = await three.run('busybox', 'udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', '5', '-T', '1', '-s', script);
const honest = {
  lease: /got \S+/.exec(asked)?.[0],
  neighbour: await ping(one, '10.77.0.3'),
  host: await ping(one, '10.77.0.1'),
  v6: await ping6(one, two),
  outward: await forward(),
};

const spoofed = {
  ip: await as(one, ['address add 10.77.0.99/24 dev eth0'], ['address del 10.77.0.99/24 dev eth0'], () =>
    ping(one, '10.77.0.3', '10.77.0.99'),
  ),
  otherMachine: await as(one, ['address add 10.77.0.4/24 dev eth0'], ['address del 10.77.0.4/24 dev eth0'], () =>
    ping(one, '10.77.0.1', '10.77.0.4'),
  ),
  mac: await as(one, [`link set eth0 address ${macOf(9)}`], [`link set eth0 address ${macOf(2)}`], () => ping(one, '10.77.0.3')),
  both: await as(
    one,
    ['address flush dev eth0', `link set eth0 address ${macOf(4)}`, 'address add 10.77.0.4/24 dev eth0'],
    ['address flush dev eth0', `link set eth0 address ${macOf(2)}`, 'address add 10.77.0.2/24 dev eth0'],
    () => ping(one, '10.77.0.3'),
  ),
  arp: await arped(),
  again: await ping(one, '10.77.0.3'),
};

await networks.ensureNetwork({ ...guarded, isolateMachines: true });
const isolated = { neighbour: await ping(one, '10.77.0.3'), byHost: await byHost(), host: await ping(one, '10.77.0.1') };
await networks.ensureNetwork(network);
const open = {
  neighbour: await ping(one, '10.77.0.3'),
  ip: await as(one, ['address add 10.77.0.99/24 dev eth0'], ['address del 10.77.0.99/24 dev eth0'], () =>
    ping(one, '10.77.0.3', '10.77.0.99'),
  ),
  arp: await arped(),
  tables: await tables(),
};
await networks.ensureNetwork({ ...guarded, isolateMachines: true });
await runner.run('nft', ['flush', 'ruleset']);
await networks.ensureNetwork({ ...guarded, isolateMachines: true });
const mended = { neighbour: await ping(one, '10.77.0.3'), tables: await tables() };
await networks.removeNetwork(network.id);
const removed = await tables();
await networks.close();
await Promise.all([one, two, three].map((place) => place.end()));
process.stdout.write(JSON.stringify({ honest, spoofed, isolated, open, mended, removed }));
rmSync(directory, { recursive: true, force: true });

async function machine(last: number): Promise<Namespace> {
  next = await Namespace.make(runner);
  const place = next;
  const tap = await networks.attach(`mac-${last}`, {
    name: 'eth0',
    networkId: network.id,
    bridge: network.bridge,
    mac: macOf(last),
    ip: `10.77.0.${last}`,
  });
  await ip(place, `link set eth0 address ${macOf(last)} up`, `address add 10.77.0.${last}/24 dev eth0`, 'route add default via 10.77.0.1');
  await until(async () => (await runner.run('bridge', ['link', 'show', 'dev', tap])).stdout.includes('state forwarding'));
  return place;
}

async function ip(place: Namespace, ...lines: string[]): Promise<void> {
  for (const line of lines) await place.run('ip', ...line.split(' '));
}

/** Does something in disguise. */
async function as(place: Namespace, on: string[], off: string[], act: () => Promise<string>): Promise<string> {
  await ip(place, ...on);
  const result = await act();
  await ip(place, ...off);
  return result;
}

/** Links forget nothing of each other meanwhile but what is asked: neighbours are forgotten first. */
async function ping(place: Namespace, address: string, from?: string): Promise<string> {
  for (const each of [one, two]) await each.run('ip', 'neighbour', 'flush', 'all');
  return place.run('busybox', 'ping', '-c', '2', '-W', '1', '-q', ...(from === undefined ? [] : ['-I', from]), address).then(
    () => 'answered',
    () => 'lost',
  );
}

async function ping6(from: Namespace, to: Namespace): Promise<string> {
  const found = /inet6 (fe80:\S+)\//.exec(await to.run('ip', 'address', 'show', 'dev', 'eth0'))?.[1];
  return found === undefined ? 'answered' : ping(from, `${found}%eth0`); // a kernel without IPv6
}

/** What a machine may send to the outside is what it may send to its gateway. */
function forward(): Promise<string> {
  return ping(one, '10.77.0.1', '10.77.0.2');
}

/** Whether a machine can make another believe that it is the gateway: by asking for it in the name of that. */
async function arped(): Promise<string> {
  await ip(one, 'address add 10.77.0.1/24 dev eth0', 'neighbour flush all');
  await ip(two, 'neighbour flush all', `neighbour replace 10.77.0.1 lladdr ${macOf(8)} dev eth0 nud stale`);
  await one.run('busybox', 'ping', '-c', '1', '-W', '1', '-q', '-I', '10.77.0.1', '10.77.0.3').catch(() => undefined);
  const found = await two.run('ip', 'neighbour', 'show', '10.77.0.1');
  await ip(one, 'address del 10.77.0.1/24 dev eth0');
  await ip(two, 'neighbour flush all');
  return found.includes(macOf(2)) ? 'believed' : 'not believed';
}

/** By the host, as whoever knows that it passes packets on would try. */
async function byHost(): Promise<string> {
  await ip(one, 'route add 10.77.0.3/32 via 10.77.0.1');
  const result = await ping(one, '10.77.0.3');
  await ip(one, 'route del 10.77.0.3/32 via 10.77.0.1');
  return result;
}

async function tables(): Promise<string[]> {
  return (await runner.run('nft', ['list', 'tables'])).stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(' ')[1] ?? '')
    .sort();
}
