// SPDX-License-Identifier: Apache-2.0
// Runs in network and process namespaces of its own: machines of each kind of network, and the world outside, each a network namespace. Tells as
// JSON what got through, and whether what others have on the host stayed as it was.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { NatNetwork } from '../../src/agent/network/nat/nat-network.js';
import { CommandRunner } from '../../src/agent/runner/command-runner.js';
import { tableName } from '../../src/agent/network/nat/ruleset.js';
import type { EnsureNetworkCommand } from '../../src/host-agent/host-agent.js';
import { Namespace, until } from './namespace.js';

const directory = mkdtempSync(join(tmpdir(), 'flotilla-kinds-'));
chmodSync(directory, 0o711); // dnsmasq gives root up
const runner = new CommandRunner(pino({ level: 'silent' }));
const places = new Map<string, Namespace>();
const native = {
  createTap: async ({ name }: { name: string }) => {
    const place = await Namespace.make(runner);
    places.set(name, place);
    await runner.run('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(place.pid)]);
  },
  deleteTap: (name: string) => runner.run('ip', ['link', 'delete', 'dev', name]).then(() => undefined),
};
const networks = new NatNetwork(runner, { stateDirectory: join(directory, 'state'), runtimeDirectory: join(directory, 'run'), native });
const command = (number: number, kind: EnsureNetworkCommand['kind'], more: Partial<EnsureNetworkCommand> = {}): EnsureNetworkCommand => ({
  id: `net-${number}`,
  name: `n${number}`,
  kind,
  domain: `n${number}.test`,
  subnet: `10.90.${number}.0/28`,
  gateway: `10.90.${number}.1`,
  dhcpRange: `10.90.${number}.2-10.90.${number}.14`,
  bridge: `flo-0000000${number}`,
  reservations: [2, 3].map((last) => ({ mac: macOf(number, last), ip: `10.90.${number}.${last}`, hostname: `m${last}` })),
  ...more,
});

const outside = await Namespace.make(runner);
await makeOthers();
const others = await lookAtOthers();
const [nat, isolated, routed] = [command(1, 'nat'), command(2, 'isolated', { mtu: 1400 }), command(3, 'routed')];
for (const network of [nat, isolated, routed]) await networks.ensureNetwork(network);
const [a, b, c, d] = [await machineOn(nat, 2), await machineOn(isolated, 2), await machineOn(isolated, 3), await machineOn(routed, 2)];
const held = await lookAtOthers();

const answers = {
  outward: { nat: await ping(a, '192.0.2.2'), isolated: await ping(b, '192.0.2.2'), routed: await ping(d, '192.0.2.2') },
  inward: { nat: await ping(outside, '10.90.1.2'), isolated: await ping(outside, '10.90.2.2'), routed: await ping(outside, '10.90.3.2') },
  host: { nat: await ping(a, '10.90.1.1'), isolated: await ping(b, '10.90.2.1'), other: await ping(b, '192.0.2.1') },
  metadata: { nat: await ping(a, '169.254.169.254'), routed: await ping(d, '169.254.169.254') },
  across: { natToIsolated: await ping(a, '10.90.2.2'), isolatedToNat: await ping(b, '10.90.1.2'), routedToNat: await ping(d, '10.90.1.2') },
  within: { isolated: await ping(b, '10.90.2.3') },
  forged: { routed: await forged(d) },
};
const names = {
  own: await resolve(b, 'm3.n2.test', '10.90.2.1'),
  others: await resolve(b, 'm2.n1.test', '10.90.2.1'),
  elsewhere: await resolve(b, 'm3.n2.test', '192.0.2.1'),
  withNat: await resolve(a, 'm2.n1.test', '10.90.1.1'),
};
const leases = { isolated: await lease(c), routed: await lease(d) };
const links = JSON.parse((await runner.run('ip', ['-j', 'link'])).stdout) as { ifname: string; mtu: number; master?: string }[];
const mtus = [
  ...new Set(links.filter(({ ifname, master }) => isolated.bridge === ifname || isolated.bridge === master).map(({ mtu }) => mtu)),
];
await networks.ensureNetwork({ ...isolated, domain: 'other.test', mtu: 1300 });
const changed = { name: await resolve(b, 'm3.other.test', '10.90.2.1'), mtu: await mtuOf(isolated.bridge) };

await runner.run('nft', ['add', 'table', 'inet', tableName(command(4, 'nat'))]);
await runner.run('ip', ['link', 'add', 'flo-00000005', 'type', 'bridge']);
await runner.run('ip', ['link', 'set', 'flo-00000005', 'alias', 'of somebody']);
const refused = await Promise.all(
  [command(4, 'nat'), command(5, 'nat')].map((one) =>
    networks.ensureNetwork(one).then(
      () => 'made',
      (error: { code?: string }) => error.code,
    ),
  ),
);
for (const number of [1, 2, 3, 4, 5]) await networks.removeNetwork(`net-${number}`);
const left = {
  tables: (await runner.run('nft', ['list', 'tables'])).stdout.trim().split('\n').sort(),
  bridges: (JSON.parse((await runner.run('ip', ['-j', 'link', 'show', 'type', 'bridge'])).stdout || '[]') as { ifname: string }[]).map(
    ({ ifname }) => ifname,
  ),
};
const after = await lookAtOthers();
await networks.close();
await runner.run('pkill', ['-f', `${directory}/other.conf`], { accept: [1] });
await Promise.all([outside, ...places.values()].map((place) => place.end()));
const untouched = { held: same(others, held), after: same(others, after) };
process.stdout.write(JSON.stringify({ answers, names, leases, mtus, changed, refused, left, untouched }));
rmSync(directory, { recursive: true, force: true });

/** What others have on a host: the way out, rules, a bridge, a DNS server. */
async function makeOthers(): Promise<void> {
  await runner.run('ip', ['link', 'add', 'out', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(outside.pid)]);
  for (const words of ['address add 192.0.2.1/24 dev out', 'link set out up', 'link add br-other type bridge', 'link set br-other up'])
    await runner.run('ip', words.split(' '));
  await outside.run('ip', 'link', 'set', 'eth0', 'up');
  await outside.run('ip', 'link', 'set', 'lo', 'up');
  await outside.run('ip', 'address', 'add', '192.0.2.2/24', 'dev', 'eth0');
  await outside.run('ip', 'address', 'add', '169.254.169.254/32', 'dev', 'lo');
  await outside.run('ip', 'route', 'add', '10.90.0.0/16', 'via', '192.0.2.1');
  await runner.run('ip', ['route', 'add', '169.254.169.254', 'via', '192.0.2.2']);
  await runner.run('nft', ['-f', '-'], {
    input: 'table inet other {\n  chain c {\n    type filter hook forward priority 10; policy accept;\n    counter accept\n  }\n}\n',
  });
  const other = [
    '--conf-file=/dev/null',
    `--pid-file=${directory}/other.pid`,
    '--interface=out',
    '--bind-interfaces',
    '--except-interface=lo',
  ];
  await runner.run('dnsmasq', [...other, '--no-hosts', '--address=/m3.n2.test/192.0.2.99', `--dhcp-leasefile=${directory}/other.conf`]);
}

async function lookAtOthers(): Promise<unknown> {
  return {
    rules: (await runner.run('nft', ['-a', '-s', 'list', 'table', 'inet', 'other'])).stdout,
    bridge: (await runner.run('ip', ['link', 'show', 'br-other'])).stdout,
    dns: (await runner.run('pgrep', ['-f', 'other.pid'])).stdout,
  };
}

function macOf(network: number, last: number): string {
  return `02:f1:00:00:0${network}:0${last}`;
}

async function machineOn(network: EnsureNetworkCommand, last: number): Promise<Namespace> {
  const number = Number(network.id.slice(-1));
  const ip = `10.90.${number}.${last}`;
  const link = { name: 'eth0', networkId: network.id, bridge: network.bridge, mac: macOf(number, last), ip };
  const place = places.get(await networks.attach(`mac-${number}-${last}`, link));
  if (place === undefined) throw new Error('There is no such machine');
  await place.run('ip', 'link', 'set', 'eth0', 'address', link.mac, 'up');
  await place.run('ip', 'address', 'add', `${ip}/28`, 'dev', 'eth0');
  await place.run('ip', 'route', 'add', 'default', 'via', network.gateway);
  await until(async () => (await runner.run('bridge', ['link'])).stdout.includes('state forwarding'));
  return place;
}

/** A link that has just come up drops frames for a moment, so there is more than one. */
function ping(place: Namespace, address: string): Promise<string> {
  return place.run('busybox', 'ping', '-c', '3', '-i', '0.3', '-W', '1', '-q', address).then(
    () => 'answered',
    () => 'lost',
  );
}

/** With an address that is none of the network. */
async function forged(place: Namespace): Promise<string> {
  await place.run('ip', 'address', 'add', '10.91.0.9/32', 'dev', 'lo');
  return place.run('busybox', 'ping', '-c', '2', '-W', '1', '-q', '-I', '10.91.0.9', '192.0.2.2').then(
    () => 'answered',
    () => 'lost',
  );
}

async function resolve(place: Namespace, name: string, server: string): Promise<string> {
  const program = `const { Resolver } = require('node:dns').promises; const r = new Resolver({ timeout: 500, tries: 2 }); r.setServers(['${server}']);
r.resolve4('${name}').then(([one]) => process.stdout.write(one), () => process.stdout.write('none'))`;
  return place.run(process.execPath, '-e', program);
}

/** What a DHCP client is told. */
async function lease(place: Namespace): Promise<string[]> {
  const script = join(directory, 'script');
  writeFileSync(script, '#!/bin/sh\n[ "$1" = bound ] && echo "ip=$ip router=$router mtu=$mtu domain=$domain mask=$mask"\nexit 0\n', {
    mode: 0o755,
  });
  const said = await place.run('busybox', 'udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', '5', '-T', '1', '-O', 'mtu', '-s', script);
  return /ip=.*/.exec(said)?.[0].split(' ') ?? [];
}

async function mtuOf(name: string): Promise<number> {
  return (JSON.parse((await runner.run('ip', ['-j', 'link', 'show', 'dev', name])).stdout) as { mtu: number }[])[0]?.mtu ?? 0;
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
