// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { Flotilla, NotFoundError } from '@flotilla/sdk';

const flotilla = new Flotilla();
await assert.rejects(flotilla.machines.get('nobody'), NotFoundError);

const events = await flotilla.events({ kinds: ['machine.*'] }).opened();
const machine = await flotilla.machines.create({ name: 'esm', cpus: 1, memoryMiB: 64, boot: { kernel: 'kernel' } });
assert.equal(machine.state, 'running');

const terminal = await machine.console();
await terminal.expect('# ');
await terminal.write('uname -a\n');
assert.match(await terminal.expect(/GNU\/Linux/), /Linux fake/);
terminal.close();
assert.match(await machine.logs(), /Linux fake/);

await machine.delete({ force: true });
const seen = [];
for await (const { kind, target } of events) {
  if (target.name !== 'esm') continue;
  seen.push(kind);
  if (kind === 'machine.deleted') break;
}
assert.equal(seen[0], 'machine.created');
assert.ok(seen.includes('machine.state'));
assert.deepEqual(await flotilla.machines.list().all(), []);
