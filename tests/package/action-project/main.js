// SPDX-License-Identifier: Apache-2.0
// A program of somebody whose workflow calls the action: node main.js KERNEL runs a machine from that kernel to its first output.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Flotilla } from '@flotilla/sdk';

const flotilla = new Flotilla(); // address and key are in the environment
await flotilla.images.upload('sdk-kernel', readFileSync(process.argv[2]), { kind: 'kernel', format: 'elf' });
const machine = await flotilla.machines.create({ name: 'from-sdk', cpus: 1, memoryMiB: 16, boot: { kernel: 'sdk-kernel' } });
const console_ = await machine.console({ write: false });
await console_.expect(process.env.EXPECTED ?? 'ready');
console_.close();
await machine.delete({ force: true });
assert.deepEqual(await flotilla.machines.list().all(), []);
console.log('a machine was created, printed and deleted');
