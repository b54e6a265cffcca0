// SPDX-License-Identifier: Apache-2.0
// Runs in network and process namespaces of its own: ports of the host that lead to a machine, asked for by the world outside, by the host and by
// another machine. Tells as JSON who reached whom: the address that the machine saw, or how it failed.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { NatNetwork } from '../../src/agent/network/nat/nat-network.js';
import { CommandRunner } from '../../src/agent/runner/command-runner.js';
import { Namespace, until } from './namespace.js';
import { command, MAC } from './probe-network.js';

const directory = mkdtempSync(join(tmpdir(), 'flotilla-forwards-'));
const runner = new CommandRunner(pino({ level: 'silent' }));
const [guest, other, outside] = [await Namespace.make(runner), await Namespace.make(runner), await Namespace.make(runner)];
const places = [guest, other];
const native = {
  createTap: async ({ name }: { name: string }) => {
    const place = places.shift();
    await runner.run('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(place?.pid)]);
  },
  deleteTap: (name: string) => runner.run('ip', ['link', 'delete', 'dev', name]).then(() => undefined),
};
const networks = new NatNetwork(runner, { stateDirectory: join(directory, 'state'), runtimeDirectory: join(directory, 'run'), native });
const isolated = {
  ...command,
  id: 'net-other',
  name: 'other',
  kind: 'isolated' as const,
  subnet: '10.78.0.0/24',
  gateway: '10.78.0.1',
  bridge: 'flo-1',
  dhcpRange: '10.78.0.2-10.78.0.9',
  reservations: [],
};
const to = { address: '10.77.0.2' };
const forwards = [
  { ...to, protocol: 'tcp' as const, hostPort: 8080, guestPort: 80 },
  { ...to, protocol: 'udp' as const, hostPort: 8080, guestPort: 80 },
  { ...to, protocol: 'tcp' as const, hostAddress: '192.0.2.1', hostPort: 8081, guestPort: 80 },
  { ...to, protocol: 'tcp' as const, hostAddress: '192.0.2.9', hostPort: 8082, guestPort: 80 },
];

await networks.ensureNetwork({ ...command, forwards });
await networks.ensureNetwork(isolated);
await machine(guest, 'mac-probe', { networkId: command.id, bridge: command.bridge, ip: '10.77.0.2', gateway: '10.77.0.1', mac: MAC });
await machine(other, 'mac-other', {
  networkId: isolated.id,
  bridge: isolated.bridge,
  ip: '10.78.0.2',
  gateway: '10.78.0.1',
  mac: '02:f1:00:00:00:02',
});
await runner.run('ip', ['link', 'add', 'out', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(outside.pid)]);
for (const address of ['192.0.2.1/24', '192.0.2.9/24']) await runner.run('ip', ['address', 'add', address, 'dev', 'out']);
await runner.run('ip', ['link', 'set', 'out', 'up']);
await outside.run('ip', 'link', 'set', 'eth0', 'up');
await outside.run('ip', 'address', 'add', '192.0.2.2/24', 'dev', 'eth0');
await outside.run('ip', 'route', 'add', '10.77.0.0/24', 'via', '192.0.2.1');
const SERVER = `require('node:net').createServer((s) => s.on('error', () => {}).end(s.remoteAddress)).listen(80, '0.0.0.0', () => console.log('ready'));
const u = require('node:dgram').createSocket('udp4'); u.on('message', (_m, r) => u.send(r.address, r.port, r.address)).bind(80)`;
const server = guest.spawn(process.execPath, '-e', SERVER);
await new Promise((resolve) => server.stdout?.once('data', resolve));
await until(async () => (await tcp(outside, '192.0.2.1', 8080)) === '192.0.2.2'); // links that have just come up

const reached = {
  any: await tcp(outside, '192.0.2.9', 8080),
  udp: await udp(outside, '192.0.2.1', 8080),
  one: await tcp(outside, '192.0.2.1', 8081),
  notThatAddress: await tcp(outside, '192.0.2.1', 8082),
  notThatPort: await tcp(outside, '192.0.2.1', 8083),
  fromHost: await tcp(undefined, '192.0.2.1', 8080),
  loopback: await tcp(undefined, '127.0.0.1', 8080),
  past: await tcp(outside, '10.77.0.2', 80),
  isolated: await tcp(other, '10.78.0.1', 8080),
  own: await tcp(guest, '192.0.2.1', 8080),
};
await networks.ensureNetwork({ ...command, forwards: forwards.slice(2) });
const fewer = { gone: await tcp(outside, '192.0.2.1', 8080), kept: await tcp(outside, '192.0.2.1', 8081) };
await networks.ensureNetwork(command);
const none = { gone: await tcp(outside, '192.0.2.1', 8081), rules: (await runner.run('nft', ['list', 'ruleset'])).stdout.includes('dnat') };

server.kill('SIGKILL');
for (const id of [command.id, isolated.id]) await networks.removeNetwork(id);
await networks.close();
await Promise.all([guest, other, outside].map((place) => place.end()));
process.stdout.write(JSON.stringify({ reached, fewer, none }));
rmSync(directory, { recursive: true, force: true });

async function machine(
  place: Namespace,
  id: string,
  { gateway, ...link }: { networkId: string; bridge: string; ip: string; gateway: string; mac: string },
): Promise<void> {
  await networks.attach(id, { name: 'eth0', ...link });
  await place.run('ip', 'link', 'set', 'eth0', 'address', link.mac, 'up');
  await place.run('ip', 'address', 'add', `${link.ip}/24`, 'dev', 'eth0');
  await place.run('ip', 'route', 'add', 'default', 'via', gateway);
}

/** Connects and reads to the end; without a place from the host. */
function tcp(place: Namespace | undefined, host: string, port: number): Promise<string> {
  return node(
    place,
    `let text = ''; const s = require('node:net').connect({ host: '${host}', port: ${port} });
s.setTimeout(700, () => { console.log('timeout'); process.exit(); }); s.on('data', (d) => { text += d; });
s.on('end', () => console.log(text.replace('::ffff:', ''))).on('error', (e) => console.log(e.code));`,
  );
}

function udp(place: Namespace, host: string, port: number): Promise<string> {
  return node(
    place,
    `const u = require('node:dgram').createSocket('udp4'); setTimeout(() => { console.log('timeout'); process.exit(); }, 2000).unref();
u.on('message', (m) => { console.log(String(m)); u.close(); }); u.send('x', ${port}, '${host}');`,
  );
}

async function node(place: Namespace | undefined, program: string): Promise<string> {
  const words = ['-e', program];
  const said = place === undefined ? (await runner.run(process.execPath, words)).stdout : await place.run(process.execPath, ...words);
  return said.trim();
}
