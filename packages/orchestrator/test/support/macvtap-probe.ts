// SPDX-License-Identifier: Apache-2.0
// Runs in a network namespace of its own: puts interfaces on a link, looks at them, takes them away, and tells what it saw as JSON.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { HostMacvtaps } from '../../src/agent/network/macvtap/host-macvtaps.js';
import { macvtapName } from '../../src/agent/network/macvtap/macvtap-links.js';
import { CommandRunner } from '../../src/agent/runner/command-runner.js';
import { ApiError } from '../../src/common/api-error.js';
import type { MacvtapMode } from '../../src/common/macvtap.js';

const directory = mkdtempSync(join(tmpdir(), 'flotilla-macvtap-'));
const runner = new CommandRunner(pino({ level: 'silent' }));
const links = () => new HostMacvtaps(runner, join(directory, 'macvtaps'), ['up0', 'gone0']);
const interfaceOn = (parent: string, mode: MacvtapMode = 'bridge') => ({
  name: 'eth0',
  mac: '02:f1:00:00:00:01',
  macvtap: { parent, mode },
});
interface Link {
  ifindex: number;
  ifname: string;
  address: string;
  ifalias?: string;
  link?: string;
  flags: string[];
  linkinfo?: { info_kind?: string; info_data?: { mode?: string } };
}
const look = async () =>
  (JSON.parse((await runner.run('ip', ['-j', '-d', 'link'])).stdout) as Link[])
    .filter(({ ifname }) => ifname.startsWith('flom-'))
    .map((link) => ({
      index: link.ifindex,
      name: link.ifname,
      told: [link.address, link.ifalias, link.link, link.linkinfo?.info_kind, link.linkinfo?.info_data?.mode, link.flags.includes('UP')],
    }));
const refusal = (attempt: Promise<void>) =>
  attempt.then(
    () => undefined,
    (error: unknown) => (error instanceof ApiError ? [error.code, error.field] : String(error)),
  );

await runner.run('ip', ['link', 'add', 'up0', 'type', 'dummy']);
await runner.run('ip', ['link', 'add', 'other0', 'type', 'dummy']);
await links().attach('mac-1', interfaceOn('up0'), 'f');
const made = await look();
await links().attach('mac-1', interfaceOn('up0'), 'f'); // again, as after a crash: nothing doubles
const again = await look();
await links().attach('mac-1', interfaceOn('up0', 'private'), 'f');
const changed = await look();
const refused = [
  await refusal(links().attach('mac-2', interfaceOn('other0'), 'f')),
  await refusal(links().attach('mac-3', interfaceOn('gone0'), 'f')),
];
// Somebody took the name for something else.
const taken = macvtapName('mac-4', 'eth0');
await runner.run('ip', ['link', 'add', taken, 'type', 'dummy']);
const foreign = await refusal(links().attach('mac-4', interfaceOn('up0'), 'f'));
await links().attach('mac-5', { ...interfaceOn('up0'), mac: '02:f1:00:00:00:05' }, 'f');
await links().detach('mac-5');
const kept = await links().collect(new Set(['mac-1', 'mac-3', 'mac-4']));
const removed = await links().collect(new Set());
const left = (await look()).map(({ name }) => name);
process.stdout.write(JSON.stringify({ made, again, changed, refused, foreign, kept, removed, left, taken }));
rmSync(directory, { recursive: true, force: true });
