// SPDX-License-Identifier: Apache-2.0
// No server: machines of this program's own, with a guest of a few instructions, in both isolations.
import assert from 'node:assert/strict';
import { FlotillaError, type Isolation, Machine, type MachineSpec, readConsole, readExit } from '@flotilla/native';

const [kernel, runtimeDirectory] = [process.env['HELLO_KERNEL'], process.env['RUNTIME_DIRECTORY']];
assert.ok(kernel !== undefined && runtimeDirectory !== undefined);
const spec: MachineSpec = { cpus: 1, memory: 16 * 1024 * 1024, boot: { kernel: { path: kernel } } };

for (const isolation of ['process', 'in-process'] satisfies Isolation[]) {
  await assert.rejects(
    Machine.create({ id: 'bad', isolation, runtimeDirectory, spec: { ...spec, cpus: 65 } }),
    (error: unknown) => error instanceof FlotillaError && error.code === 'spec.cpus_out_of_range' && error.field === '$.cpus',
  );
  const machine = await Machine.create({ id: isolation, isolation, runtimeDirectory, spec });
  assert.equal(machine.pid === process.pid, isolation === 'in-process');
  await machine.boot({ signal: AbortSignal.timeout(60_000) });
  for await (const event of machine.events()) {
    if (event.kind !== 'stopped') continue;
    assert.equal(event.reason, 'powered-off');
    break;
  }
  const console = await readConsole({ runtimeDirectory, id: machine.id });
  assert.equal(Buffer.from(console?.bytes ?? []).toString(), 'hello\n');
  assert.equal((await readExit(runtimeDirectory, machine.id))?.reason, 'powered-off');
  await machine.kill();
  await machine.close();
}
