// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { type CreateMachine, Flotilla, InvalidRequestError, type Machine } from '@flotilla/sdk';

const flotilla = new Flotilla();
const params: CreateMachine = { name: 'typed', cpus: 0, memoryMiB: 64, boot: { kernel: 'nothing' } };
await assert.rejects(
  Promise.resolve(flotilla.machines.create(params)),
  (error: unknown) => error instanceof InvalidRequestError && error.field !== undefined,
);
const states: Array<Machine['observed']['state']> = [];
for await (const machine of flotilla.machines.list()) states.push(machine.state);
assert.equal(states.length, 0);
