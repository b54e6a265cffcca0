// SPDX-License-Identifier: Apache-2.0
// Runs in a network namespace of its own: makes a NAT network, looks at it, takes it away, and tells what it saw as JSON.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { NatNetwork } from '../../src/agent/network/nat/nat-network.js';
import { CommandRunner } from '../../src/agent/runner/command-runner.js';
import { command } from './probe-network.js';

const directory = mkdtempSync(join(tmpdir(), 'flotilla-nat-'));
const runner = new CommandRunner(pino({ level: 'silent' }));
const native = {
  createTap: async ({ name }: { name: string }) => {
    await runner.run('ip', ['tuntap', 'add', 'dev', name, 'mode', 'tap']);
  },
  deleteTap: async (name: string) => {
    await runner.run('ip', ['link', 'delete', 'dev', name]);
  },
};
const network = new NatNetwork(runner, { stateDirectory: join(directory, 'state'), runtimeDirectory: join(directory, 'run'), native });
const look = async () => ({
  links: (JSON.parse((await runner.run('ip', ['-j', 'link'])).stdout) as { ifname: string }[])
    .map((link) => link.ifname)
    .filter((name) => name !== 'lo'),
  rules: (await runner.run('nft', ['list', 'ruleset'])).stdout,
  dnsmasq: (await runner.run('pgrep', ['-fc', `${directory}/run`], { accept: [1] })).stdout.trim(),
});

await network.ensureNetwork(command);
await network.ensureNetwork(command); // again: nothing doubles
const tap = await network.attach('mac-probe', {
  name: 'eth0',
  networkId: command.id,
  bridge: 'flo-0',
  mac: '02:f1:00:00:00:01',
  ip: '10.77.0.2',
});
const subnets = await network.usedSubnets();
const up = await look();
const fresh = new NatNetwork(runner, { stateDirectory: join(directory, 'state'), runtimeDirectory: join(directory, 'run'), native }); // as after a crash
const kept = await fresh.collect({ machines: new Set(['mac-probe']), networks: new Set([command.id]) });
const removed = await fresh.collect({ machines: new Set(), networks: new Set() });
process.stdout.write(JSON.stringify({ tap, subnets, up, kept, removed, down: await look() }));
rmSync(directory, { recursive: true, force: true });
