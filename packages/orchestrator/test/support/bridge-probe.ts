// SPDX-License-Identifier: Apache-2.0
// Runs in network and process namespaces of its own: a bridge of the host with somebody on it, and a machine of ours beside. Tells as JSON what
// got through, and whether the bridge is afterwards as it was.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { NatNetwork } from '../../src/agent/network/nat/nat-network.js';
import { CommandRunner } from '../../src/agent/runner/command-runner.js';
import { Namespace, until } from './namespace.js';

const directory = mkdtempSync(join(tmpdir(), 'flotilla-bridge-'));
const runner = new CommandRunner(pino({ level: 'silent' }));
const [neighbour, guest] = [await Namespace.make(runner), await Namespace.make(runner)];
const connect = async (name: string, place: Namespace, mac: string, address: string) => {
  await runner.run('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'address', mac, 'netns', String(place.pid)]);
  await place.run('ip', 'link', 'set', 'eth0', 'up');
  await place.run('ip', 'address', 'add', address, 'dev', 'eth0');
};
const native = {
  createTap: ({ name }: { name: string }) => connect(name, guest, '02:f1:00:00:00:01', '10.95.0.2/24'),
  deleteTap: (name: string) => runner.run('ip', ['link', 'delete', 'dev', name]).then(() => undefined),
};
const make = (hostBridges: string[]) =>
  new NatNetwork(runner, { stateDirectory: join(directory, 'state'), runtimeDirectory: join(directory, 'run'), native, hostBridges });
const networks = make(['br-lan', 'br-none', 'lo']);
const command = (hostBridge: string) => ({ id: 'net-lan', name: 'lan', kind: 'bridge' as const, hostBridge });
const code = (attempt: Promise<unknown>) =>
  attempt.then(
    () => 'made',
    (error: { code?: string }) => error.code,
  );

await runner.run('ip', ['link', 'add', 'br-lan', 'type', 'bridge']);
await connect('beside', neighbour, '02:f1:00:00:00:02', '10.95.0.1/24');
for (const words of ['br-lan mtu 1400 up', 'beside master br-lan mtu 1400 up'])
  await runner.run('ip', ['link', 'set', ...words.split(' ')]);
await runner.run('nft', ['-f', '-'], { input: 'table inet other {\n  chain c {\n    type filter hook forward priority 0;\n  }\n}\n' });
const look = async () => ({
  bridge: (await runner.run('ip', ['link', 'show', 'br-lan'])).stdout,
  rules: (await runner.run('nft', ['list', 'ruleset'])).stdout,
  forward: (await runner.run('cat', ['/proc/sys/net/ipv4/ip_forward'])).stdout,
  programs: (await runner.run('pgrep', ['-c', 'dnsmasq'], { accept: [1] })).stdout,
});

const before = await look();
const refused = [
  await code(networks.ensureNetwork(command('br-none'))),
  await code(networks.ensureNetwork(command('lo'))),
  await code(networks.ensureNetwork(command('beside'))),
];
await networks.ensureNetwork(command('br-lan'));
const link = { name: 'eth0', networkId: 'net-lan', bridge: 'flo-00000001', mac: '02:f1:00:00:00:01', ip: '' };
const tap = await networks.attach('mac-lan', link);
await until(async () => (await runner.run('bridge', ['link', 'show', 'dev', tap])).stdout.includes('state forwarding'));
const mtu = (JSON.parse((await runner.run('ip', ['-j', 'link', 'show', tap])).stdout) as { mtu: number }[])[0]?.mtu;
const ping = () => guest.run('busybox', 'ping', '-c', '5', '-i', '0.3', '-W', '1', '-q', '10.95.0.1').then(() => 'answered');
const answer = await ping();
await runner.run('ip', ['link', 'set', tap, 'nomaster']);
await networks.ensureNetwork(command('br-lan'));
await until(async () => (await runner.run('bridge', ['link', 'show', 'dev', tap])).stdout.includes('state forwarding'));
const mended = await ping();
const unnamed = await code(make([]).attach('mac-other', link));
const kept = JSON.stringify(await look()) === JSON.stringify(before);
await networks.detach('mac-lan');
await networks.removeNetwork('net-lan');
const untouched = JSON.stringify(await look()) === JSON.stringify(before);
await networks.close();
await Promise.all([neighbour, guest].map((place) => place.end()));

process.stdout.write(JSON.stringify({ refused, mtu, answer, mended, unnamed, kept, untouched }));
rmSync(directory, { recursive: true, force: true });
