// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';

import { endWorker, listWorkers, Machine, openConsole, readConsole, readExit, removeStale } from '../src/index.js';
import { isRunning, packageEntry } from './support/host.js';
import { benchForEach, eventOf, outputUntil, readUntil } from './support/machines.js';
import { rejects } from './support/rejects.js';
import { until } from './support/until.js';

describe('A worker', function () {
  this.timeout(60_000);
  const bench = benchForEach('process');

  it('keeps its files to its owner', async () => {
    const machine = await bench.create('idle');
    const directory = join(bench.runtimeDirectory, 'machines', machine.id);
    expect(statSync(directory).mode & 0o777).to.equal(0o700);
    for (const name of ['control.sock', 'console.sock', 'worker.json', 'worker.log', 'spec.json', 'black.box']) {
      expect(statSync(join(directory, name)).mode & 0o777, name).to.equal(0o600);
    }
    expect(JSON.parse(readFileSync(join(directory, 'spec.json'), 'utf8'))).to.have.nested.property('boot.kernel.path');
  });

  it('is reported dead when it is killed, with the signal, and leaves no zombie', async () => {
    const machine = await bench.boot('spin');
    await outputUntil(machine, 'ready\n');
    process.kill(machine.pid, 'SIGKILL');
    const exited = await eventOf(machine, 'worker-exited');
    expect(exited.signal).to.equal(9);
    expect(existsSync(`/proc/${machine.pid}`)).to.equal(false);
    await rejects(machine.info(), 'worker.gone');
    await rejects(machine.pause(), 'worker.gone');
    const [record] = await listWorkers(bench.runtimeDirectory);
    expect(record?.alive).to.equal(false);
    await removeStale(bench.runtimeDirectory, machine.id);
    expect(await listWorkers(bench.runtimeDirectory)).to.deep.equal([]);
  });

  it('can be ended by its record alone, and nothing else can be ended so', async () => {
    const machine = await bench.boot('spin');
    await endWorker(bench.runtimeDirectory, 'another');
    expect(isRunning(machine.pid)).to.equal(true);
    await endWorker(bench.runtimeDirectory, machine.id);
    expect(isRunning(machine.pid)).to.equal(false);
    expect((await eventOf(machine, 'worker-exited')).signal).to.equal(9);
    const [record] = await listWorkers(bench.runtimeDirectory);
    expect(record?.alive, 'what it leaves stays').to.equal(false);
    await endWorker(bench.runtimeDirectory, machine.id);
    await removeStale(bench.runtimeDirectory, machine.id);
    await rejects(endWorker(bench.runtimeDirectory, '../etc'), 'spec.id_invalid');
  });

  it('is reported dead even by its exit status when its machine ends', async () => {
    const machine = await bench.boot('hello');
    const exited = await eventOf(machine, 'worker-exited');
    expect(exited.exitStatus).to.equal(0);
  });

  it('dies for a handle that is closed, too', async () => {
    const machine = await bench.boot('spin');
    await machine.close();
    expect(isRunning(machine.pid)).to.equal(true);
    await machine.kill();
    expect(existsSync(`/proc/${machine.pid}`)).to.equal(false);
    expect(await listWorkers(bench.runtimeDirectory)).to.deep.equal([]);
  });

  it('is not adopted while somebody controls it, and is after that', async () => {
    const machine = await bench.boot('ticker');
    await outputUntil(machine, '.');
    const place = { id: machine.id, runtimeDirectory: bench.runtimeDirectory };
    await rejects(Machine.adopt(place), 'worker.busy');
    await machine.close();
    const adopted = bench.keep(await Machine.adopt({ ...place, eventsAfter: 0 }));
    expect(adopted.pid).to.equal(machine.pid);
    expect((await eventOf(adopted, 'state')).state).to.equal('running');
    await adopted.pause();
  });

  it('is left alone by an adoption that is aborted, before or while it waits for its turn', async () => {
    const machine = await bench.boot('echo');
    const place = { id: machine.id, runtimeDirectory: bench.runtimeDirectory };
    await rejects(Machine.adopt({ ...place, signal: AbortSignal.abort() }), 'aborted');
    // A worker that somebody controls is asked again for two seconds, and after that is busy.
    await rejects(Machine.adopt({ ...place, signal: AbortSignal.timeout(200) }), 'aborted');
    await machine.pause();
    await machine.resume();
    await machine.close();
    const adopted = bench.keep(await Machine.adopt({ ...place, signal: AbortSignal.timeout(30_000) }));
    expect((await adopted.info()).state).to.equal('running');
  });

  it('is not adopted where there is none', async () => {
    await rejects(Machine.adopt({ id: 'none', runtimeDirectory: bench.runtimeDirectory }), 'worker.gone');
    const machine = await bench.boot('idle');
    process.kill(machine.pid, 'SIGKILL');
    await eventOf(machine, 'worker-exited');
    await rejects(Machine.adopt({ id: machine.id, runtimeDirectory: bench.runtimeDirectory }), 'worker.gone');
    await rejects(removeStale(bench.runtimeDirectory, '../etc'), 'spec.id_invalid');
  });

  it('outlives the process that made it, and goes on for one that adopts it', async () => {
    const { runtimeDirectory, spec } = bench.options('ticker');
    const parent = orchestrator(runtimeDirectory, JSON.stringify(spec));
    const [line] = (await once(parent.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    const pid = Number(line.toString());
    const console = await openConsole({ path: join(runtimeDirectory, 'machines', 'orphan', 'console.sock'), offset: 0 });
    await readUntil(console, '.');
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    const machine = bench.keep(await Machine.adopt({ id: 'orphan', runtimeDirectory }));
    expect(machine.pid).to.equal(pid);
    expect((await machine.info()).state).to.equal('running');
    await readUntil(console, '...');
    console.close();
    const again = await openConsole({ path: machine.consolePath, offset: 0 });
    expect(again.offset).to.equal(0);
    expect(await readUntil(again, '.')).to.match(/^ready\n\./);
    again.close();
    process.kill(pid, 'SIGKILL');
    const exited = await eventOf(machine, 'worker-exited');
    expect(exited).to.not.have.any.keys('exitStatus', 'signal');
  });

  it('whose machine never ran ends by itself when its maker dies', async () => {
    const { runtimeDirectory, spec } = bench.options('idle');
    const parent = orchestrator(runtimeDirectory, JSON.stringify(spec), 'halfway');
    const record = await until(async () => (await listWorkers(runtimeDirectory)).find(({ pid }) => pid > 0));
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    await until(() => Promise.resolve(!isRunning(record.pid)), 20_000);
  });
});

/** What becomes of a machine while nobody is connected to its worker. */
describe('What a worker leaves', function () {
  this.timeout(60_000);
  const bench = benchForEach('process');

  const text = async (id: string): Promise<string | undefined> => {
    const record = await readConsole({ id, runtimeDirectory: bench.runtimeDirectory });
    return record === undefined ? undefined : Buffer.from(record.bytes).toString('latin1');
  };

  it('is how its machine ended and the whole console, when its maker was killed before', async () => {
    const ends = [
      ['echo', 'powered-off', 'ready\nxyz'],
      ['panic', 'panic', 'panic\n'],
      ['triple-fault', 'triple-fault', 'fault\n'],
    ] as const;
    for (const [name, reason, output] of ends) {
      const { runtimeDirectory, spec } = bench.options(name);
      const parent = orchestrator(runtimeDirectory, JSON.stringify(spec));
      const [line] = (await once(parent.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
      const console =
        name === 'echo'
          ? await openConsole({ path: join(runtimeDirectory, 'machines', 'orphan', 'console.sock'), offset: 0, write: true })
          : undefined;
      parent.kill('SIGKILL');
      await once(parent, 'exit');
      await console?.write('xyz');
      if (console !== undefined) await readUntil(console, 'xyz');
      await console?.write('o');
      await until(() => Promise.resolve(!isRunning(Number(line.toString()))), 5000);
      await rejects(Machine.adopt({ id: 'orphan', runtimeDirectory }), 'worker.gone');
      const exit = await readExit(runtimeDirectory, 'orphan');
      expect(exit?.reason).to.equal(reason);
      expect(exit?.registers !== undefined).to.equal(reason !== 'powered-off');
      expect(await text('orphan')).to.equal(output);
      await removeStale(runtimeDirectory, 'orphan');
      expect(await text('orphan')).to.equal(undefined);
    }
  });

  it('is its console but for the last words, and no exit, when it was killed', async () => {
    const machine = await bench.boot('ticker');
    const seen = await outputUntil(machine, '.'.repeat(100));
    process.kill(machine.pid, 'SIGKILL');
    await eventOf(machine, 'worker-exited');
    const left = await text(machine.id);
    expect(left).to.match(/^ready\n\.+$/);
    expect(left?.length).to.be.greaterThan(seen.length - 64);
    expect(await readExit(bench.runtimeDirectory, machine.id)).to.equal(undefined);
  });

  it('is taken for what a hostile worker may have made of it', async () => {
    const machine = await bench.boot('hello');
    await eventOf(machine, 'worker-exited');
    const path = join(bench.runtimeDirectory, 'machines', machine.id, 'black.box');
    const place = { id: machine.id, runtimeDirectory: bench.runtimeDirectory };
    const good = readFileSync(path);
    const counter = Buffer.from(good);
    counter.writeBigUInt64LE(1n << 60n, 8);
    for (const bad of [counter, good.subarray(0, 100), Buffer.concat([good, good])]) {
      writeFileSync(path, bad);
      await rejects(readConsole(place), 'worker.protocol');
    }
    const exit = Buffer.from(good);
    exit.write('{"reason":"boo"', 64);
    writeFileSync(path, exit);
    await rejects(readExit(place.runtimeDirectory, place.id), 'worker.protocol');
    rmSync(path);
    symlinkSync('/etc/passwd', path);
    await rejects(readConsole(place), 'file.not_regular');
    await rejects(readConsole({ ...place, id: '../etc' }), 'spec.id_invalid');
  });
});

/** A process that makes and boots the machine `orphan`, prints the pid of its worker and waits. */
function orchestrator(runtimeDirectory: string, spec: string, mode = 'boot'): ChildProcess {
  const script = `
    import { Machine } from ${JSON.stringify(packageEntry)};
    const made = Machine.create({ id: 'orphan', runtimeDirectory: ${JSON.stringify(runtimeDirectory)}, spec: ${spec} });
    if (${JSON.stringify(mode)} === 'boot') {
      const machine = await made;
      await machine.boot();
      console.log(machine.pid);
    }
    setInterval(() => {}, 1000);`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
}
