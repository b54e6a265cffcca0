// SPDX-License-Identifier: Apache-2.0
// Runs in a network namespace of its own: tells, as JSON, what networks that come and go leave of the host's IPv4 forwarding.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { NatNetwork } from '../../src/agent/network/nat/nat-network.js';
import { CommandRunner } from '../../src/agent/runner/command-runner.js';

const SETTING = '/proc/sys/net/ipv4/ip_forward';
const directory = mkdtempSync(join(tmpdir(), 'flotilla-forward-'));
const note = join(directory, 'state/ip-forward');
const runner = new CommandRunner(pino({ level: 'silent' }));
const native = { createTap: () => Promise.resolve(), deleteTap: () => Promise.resolve() };
const make = () => new NatNetwork(runner, { stateDirectory: join(directory, 'state'), runtimeDirectory: join(directory, 'run'), native });
const command = (n: number) => ({
  id: `net-${n}`,
  name: `n${n}`,
  kind: 'nat' as const,
  domain: 'flotilla.internal',
  subnet: `10.77.${n}.0/24`,
  gateway: `10.77.${n}.1`,
  dhcpRange: `10.77.${n}.2-10.77.${n}.254`,
  bridge: `flo-${n}`,
  reservations: [],
});
const look = () => ({ forward: readFileSync(SETTING, 'utf8').trim(), noted: existsSync(note) });

let network = make();
writeFileSync(SETTING, '0');
await network.ensureNetwork(command(1));
await network.ensureNetwork(command(2));
const on = look();
await network.removeNetwork('net-1');
const oneLeft = look();
await network.removeNetwork('net-2');
const restored = look();

writeFileSync(SETTING, '1'); // somebody else turned it on before us
await network.ensureNetwork(command(1));
await network.removeNetwork('net-1');
const anothers = look();

writeFileSync(SETTING, '0');
await network.ensureNetwork(command(1));
await network.close();
network = make(); // as after a crash
await network.ensureNetwork(command(1));
await network.collect({ machines: new Set(), networks: new Set() });
const afterCrash = look();

writeFileSync(note, JSON.stringify({ value: '0', bootId: 'of an earlier boot' }));
writeFileSync(SETTING, '1'); // and in this one the host turned it on by itself
await network.ensureNetwork(command(1));
await network.removeNetwork('net-1');
const afterReboot = look();
await network.close();
process.stdout.write(JSON.stringify({ on, oneLeft, restored, anothers, afterCrash, afterReboot }));
rmSync(directory, { recursive: true, force: true });
