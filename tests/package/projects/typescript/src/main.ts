// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {
  type Console,
  type CreateMachine,
  type Event,
  Flotilla,
  InvalidRequestError,
  type Machine,
  type MachineHandle,
} from '@flotilla/sdk';

const flotilla = new Flotilla();
const params: CreateMachine = { name: 'typed', cpus: 1, memoryMiB: 64, boot: { kernel: 'kernel' }, labels: { project: 'typescript' } };
await assert.rejects(
  Promise.resolve(flotilla.machines.create({ ...params, cpus: 0 })),
  (error: unknown) => error instanceof InvalidRequestError && error.field !== undefined,
);

const controller = new AbortController();
const events = await flotilla.events({ kinds: ['machine.created', 'machine.deleted'] }, { signal: controller.signal }).opened();
const created: MachineHandle = await flotilla.machines.create(params);
const terminal: Console = await created.console({ offset: 0 });
await terminal.expect('# ');
await terminal.write('uname -a\n');
const answer: string = await terminal.expect(/GNU\/Linux/);
assert.match(answer, /Linux fake/);
terminal.close();

const states: Array<Machine['observed']['state']> = [];
for await (const machine of flotilla.machines.list({ labels: { project: 'typescript' } })) states.push(machine.state);
assert.deepEqual(states, ['running']);
await created.delete({ force: true });

const seen: Event['kind'][] = [];
for await (const event of events) {
  seen.push(event.kind);
  if (seen.length === 2) break;
}
assert.deepEqual(seen, ['machine.created', 'machine.deleted']);
