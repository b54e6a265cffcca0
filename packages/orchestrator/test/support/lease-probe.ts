// SPDX-License-Identifier: Apache-2.0
// Runs in network and mount namespaces of its own: a NAT network with the real dnsmasq, and a guest that is a network namespace
// with a real DHCP client. The tap of the guest is one end of a veth pair. Tells what was seen of its lease, as JSON.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { NatNetwork } from '../../src/agent/network/nat/nat-network.js';
import { CommandRunner } from '../../src/agent/runner/command-runner.js';
import { Namespace, pause, until } from './namespace.js';
import { command, MAC } from './probe-network.js';

const directory = mkdtempSync(join(tmpdir(), 'flotilla-lease-'));
chmodSync(directory, 0o711); // dnsmasq gives root up
const script = join(directory, 'udhcpc.sh');
writeFileSync(script, '#!/bin/sh\n[ "$1" = bound ] && ip address replace "$ip/24" dev "$interface"\nexit 0\n', { mode: 0o755 });
const UDHCPC = ['busybox', 'udhcpc', '-i', 'eth0', '-f', '-t', '10', '-T', '1', '-s', script];
const runner = new CommandRunner(pino({ level: 'silent' }));
let guest: Namespace | undefined;

/** The namespace of the guest, and the veth pair that is its tap and its network card. */
const native = {
  createTap: async ({ name }: { name: string }) => {
    guest = await Namespace.make(runner);
    await runner.run('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'address', MAC, 'netns', String(guest.pid)]);
    await guest.run('ip', 'link', 'set', 'eth0', 'up');
  },
  deleteTap: async (name: string) => {
    await runner.run('ip', ['link', 'delete', 'dev', name]);
    await guest?.end();
  },
};
const make = () => new NatNetwork(runner, { stateDirectory: join(directory, 'state'), runtimeDirectory: join(directory, 'run'), native });
const link = { name: 'eth0', networkId: command.id, bridge: 'flo-0', mac: MAC, ip: '10.77.0.2' };

let network = make();
let told = 0;
network.onLeases(() => {
  told += 1;
});
await network.ensureNetwork(command);
await network.attach('mac-probe', link);
const reserved = await network.leases();
told = 0;
await guest?.run(...UDHCPC, '-n', '-q');
await until(() => told > 0);
const taken = await network.leases();

await network.close();
network = make(); // as after a crash of the agent
network.onLeases(() => {
  told += 1;
});
const adopted = await network.leases();

await pause(1200); // leases are counted in whole seconds
await network.detach('mac-probe');
const stopped = await network.leases();
await network.attach('mac-probe', link);
const startedAgain = await network.leases();
const client = guest?.spawn(...UDHCPC, '-R');
await until(async () => (await network.leases()).length === 1);
await pause(500); // the client is bound a moment after the server noted it
told = 0;
client?.kill('SIGTERM'); // it gives its address back
await until(async () => told > 0 && (await network.leases()).length === 0);
const file = readFileSync(join(directory, 'run/net-probe/leases'), 'utf8');
await network.detach('mac-probe');
await network.removeNetwork(command.id);
await network.close();
process.stdout.write(JSON.stringify({ reserved, taken, adopted, stopped, startedAgain, file }));
rmSync(directory, { recursive: true, force: true });
