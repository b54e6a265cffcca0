// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { type CreateMachine, Flotilla, FlotillaError, type MachineHandle } from '@flotilla/sdk';

const params: CreateMachine = { name: 'typed-commonjs', cpus: 1, memoryMiB: 64, boot: { kernel: 'kernel' } };

async function main(): Promise<void> {
  const flotilla = new Flotilla();
  const events = await flotilla.events({ kinds: ['machine.created'] }).opened();
  const machine: MachineHandle = await flotilla.machines.create(params);
  const terminal = await machine.console();
  await terminal.expect('# ');
  await terminal.write('uname -a\n');
  assert.match(await terminal.expect(/GNU\/Linux/), /Linux fake/);
  terminal.close();
  for await (const event of events) {
    const name: string | undefined = event.target.name;
    assert.equal(name, 'typed-commonjs');
    break;
  }
  await machine.delete({ force: true });
  await assert.rejects(machine.refresh(), (error: unknown) => error instanceof FlotillaError && error.code === 'machine.not_found');
  // @ts-expect-error: the types are those of the package, not `any`
  const misspelt: CreateMachine = { ...params, nme: 'x' };
  assert.ok('nme' in misspelt);
  assert.equal(typeof require, 'function', 'this is CommonJS');
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
