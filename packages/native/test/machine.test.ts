// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';

import {
  createTap,
  deleteTap,
  type FlotillaError,
  type Isolation,
  listWorkers,
  Machine,
  type MachineSpec,
  openConsole,
  readConsole,
  readExit,
  removeStale,
} from '../src/index.js';
import { lacks, packageEntry } from './support/host.js';
import { benchForEach, bootAndRead, eventOf, outputUntil, readUntil } from './support/machines.js';
import { rejects } from './support/rejects.js';
import { until } from './support/until.js';

for (const isolation of ['process', 'in-process'] satisfies Isolation[]) {
  describe(`A machine, isolation ${isolation}`, function () {
    this.timeout(60_000);
    const bench = benchForEach(isolation);

    it('boots, writes to its console and tells that the guest switched it off', async () => {
      const machine = await bench.create('hello');
      expect((await machine.info()).state).to.equal('configured');
      expect(await bootAndRead(machine, 'hello\n')).to.equal('hello\n');
      const stopped = await eventOf(machine, 'stopped');
      expect(stopped.reason).to.equal('powered-off');
    });

    it('gives every event in order, to each reader, and then ends', async () => {
      const machine = await bench.boot('hello');
      const read = async (): Promise<string[]> => {
        const kinds: string[] = [];
        for await (const event of machine.events()) kinds.push(event.kind === 'state' ? event.state : event.kind);
        return kinds;
      };
      const expected = ['running', 'stopped', 'stopped', ...(isolation === 'process' ? ['worker-exited'] : [])];
      expect(await Promise.all([read(), read()])).to.deep.equal([expected, expected]);
    });

    it('tells its state and who runs it', async () => {
      const machine = await bench.boot('idle', {});
      const info = await machine.info();
      expect(info).to.include({ state: 'running', vcpus: 1, pid: machine.pid });
      expect(info.uptimeMs).to.be.a('number');
      expect(info.build).to.match(/^\d+\.\d+\.\d+/);
      expect(machine.pid === process.pid).to.equal(isolation === 'in-process');
      const [listed] = await listWorkers(bench.runtimeDirectory);
      expect(listed).to.include({ id: machine.id, pid: machine.pid, alive: true, isolation });
    });

    it('counts', async () => {
      const machine = await bench.boot('ticker');
      await outputUntil(machine, '...');
      const metrics = await machine.metrics();
      expect(Object.keys(metrics)).not.to.be.empty;
      for (const [name, value] of Object.entries(metrics)) expect(value, name).to.be.a('number');
    });

    it('follows a disk that grows', async () => {
      const path = join(bench.runtimeDirectory, 'disk');
      writeFileSync(path, Buffer.alloc(4096));
      const disks: MachineSpec['disks'] = [{ id: 'root', source: { path }, format: 'raw', onNoSpace: 'pause' }];
      const machine = await bench.boot('idle', { disks });
      truncateSync(path, 8192);
      expect(await machine.refreshDisk('root')).to.equal(8192);
      truncateSync(path, 4096);
      await rejects(machine.refreshDisk('root'), 'disk.shrunk');
      await rejects(machine.refreshDisk('other'), 'disk.unknown');
    });

    it('starts again when the guest resets it', async () => {
      const machine = await bench.create('reboot-once');
      expect(await bootAndRead(machine, 'second\n')).to.equal('first\nsecond\n');
      await eventOf(machine, 'guest-reset');
      expect((await eventOf(machine, 'stopped')).reason).to.equal('powered-off');
    });

    it('stops at a guest reset when told to', async () => {
      const machine = await bench.boot('reset-cf9', { onReboot: 'stop' });
      expect((await eventOf(machine, 'stopped')).reason).to.equal('reset');
    });

    it('starts again when reset from outside', async () => {
      const machine = await bench.boot('idle');
      await outputUntil(machine, 'ready\n');
      await machine.reset();
      expect(await outputUntil(machine, 'ready\nready\n')).to.equal('ready\nready\n');
    });

    it('names the CPU that a guest panic came from', async () => {
      const machine = await bench.boot('panic-on-second', { cpus: 2 });
      expect((await eventOf(machine, 'panic')).registers?.cpu).to.equal(1);
      const { reason, registers } = await eventOf(machine, 'stopped');
      expect([reason, registers?.cpu]).to.deep.equal(['panic', 1]);
    });

    it('tells a triple fault with registers, and whether KVM had reset them', async () => {
      const machine = await bench.boot('triple-fault');
      const stopped = await eventOf(machine, 'stopped');
      expect(stopped.reason).to.equal('triple-fault');
      expect(stopped.registers?.registers)
        .to.have.property('rip')
        .that.matches(/^0x[0-9a-f]+$/);
      expect(stopped.registers?.afterReset ?? false).to.equal(stopped.registers?.registers['rip'] === '0xfff0');
    });

    it('tells a guest panic', async () => {
      const machine = await bench.boot('panic');
      await eventOf(machine, 'panic');
      expect((await eventOf(machine, 'stopped')).reason).to.equal('panic');
    });

    it('stands still while paused and then goes on', async () => {
      const machine = await bench.boot('ticker');
      await outputUntil(machine, '...');
      await machine.pause();
      expect((await machine.info()).state).to.equal('paused');
      const end = async (): Promise<number> => {
        const console = await openConsole({ path: machine.consolePath });
        console.close();
        return console.offset;
      };
      const before = await end();
      await sleep(300);
      expect(await end()).to.equal(before);
      await machine.resume();
      const console = await openConsole({ path: machine.consolePath, offset: before });
      await readUntil(console, '.');
      console.close();
    });

    it('presses the power button', async () => {
      const machine = await bench.boot('button');
      await outputUntil(machine, 'ready\n');
      await machine.powerButton();
      await outputUntil(machine, 'button\n');
      expect((await eventOf(machine, 'stopped')).reason).to.equal('powered-off');
    });

    it('has its limits changed while it runs', async () => {
      const machine = await bench.boot('button', { throttleGroups: [{ id: 'slow', limits: {} }] });
      const limits = { bytes: { perSecond: 1000, burst: 2000 }, operations: { perSecond: 10 } };
      await machine.setThrottle({ kind: 'rng' }, limits);
      await machine.setThrottle({ kind: 'group', id: 'slow' }, {});
      await rejects(machine.setThrottle({ kind: 'disk', id: 'none' }, limits), 'throttle.unknown');
      await rejects(machine.setThrottle({ kind: 'rng' }, { bytes: { perSecond: 0 } }), 'spec.throttle_invalid');
      await machine.kill();
    });

    it('has its cables pulled out and plugged in by the ids of its interfaces', async function () {
      const name = `fltl${process.pid}`;
      const denied = await createTap({ name, multiQueue: true }).then(
        () => undefined,
        (error: FlotillaError) => error,
      );
      if (denied?.code === 'file.denied') return lacks(this, denied.message);
      if (denied !== undefined) throw denied;
      try {
        const machine = await bench.boot('button', { interfaces: [{ id: 'lan', tap: { name }, queues: 2, link: 'down' }] });
        await outputUntil(machine, 'ready\n');
        await machine.setLink('lan', 'up');
        await machine.setLink('lan', 'down');
        await rejects(machine.setLink('wan', 'down'), 'interface.unknown');
        await machine.kill();
        await rejects(machine.setLink('lan', 'up'), isolation === 'process' ? 'worker.gone' : 'machine.state');
      } finally {
        await deleteTap(name);
      }
    });

    it('is killed, whatever the guest does, and nothing is left', async () => {
      const machine = await bench.boot('spin');
      await outputUntil(machine, 'ready\n');
      await machine.kill();
      expect((await eventOf(machine, 'stopped')).reason).to.equal('killed');
      expect(existsSync(join(bench.runtimeDirectory, 'machines', machine.id))).to.equal(false);
      expect(await listWorkers(bench.runtimeDirectory)).to.deep.equal([]);
      await machine.kill();
    });

    it('refuses what its state does not allow', async () => {
      const machine = await bench.create('idle');
      await rejects(machine.pause(), 'machine.state');
      await rejects(machine.reset(), 'machine.state');
      await machine.boot();
      await rejects(machine.boot(), 'machine.state');
    });

    it('refuses a second machine with its id while it lives', async () => {
      const options = bench.options('idle');
      bench.keep(await Machine.create(options));
      await rejects(Machine.create(options), 'worker.busy');
    });

    it('leaves a machine alone that was made with the id of a killed one', async () => {
      const options = bench.options('idle');
      const first = bench.keep(await Machine.create(options));
      await first.kill();
      const second = bench.keep(await Machine.create(options));
      await first.kill();
      await first.close();
      expect(existsSync(second.consolePath)).to.equal(true);
      await second.boot();
    });

    it('closes as often as one likes', async () => {
      const machine = await bench.boot('idle');
      const events = machine.events();
      await Promise.all([machine.close(), machine.close()]);
      await machine.close();
      await rejects(machine.info(), 'machine.state');
      await rejects(machine.boot(), 'machine.state');
      for await (const event of events) expect(event.kind).to.be.a('string');
      const left = await listWorkers(bench.runtimeDirectory);
      expect(left.map(({ alive }) => alive)).to.deep.equal(isolation === 'process' ? [true] : []);
    });

    it('is not made when the call was aborted before', async () => {
      await rejects(Machine.create({ ...bench.options('idle'), signal: AbortSignal.abort() }), 'aborted');
      expect(await listWorkers(bench.runtimeDirectory)).to.deep.equal([]);
    });

    it('leaves nothing when the call is aborted at any moment', async () => {
      for (const delay of [0, 1, 2, 4, 8, 16, 32]) {
        const controller = new AbortController();
        const made = Machine.create({ ...bench.options('idle'), signal: controller.signal });
        setTimeout(() => controller.abort(), delay);
        const machine = await made.catch(() => undefined);
        if (machine !== undefined) await bench.keep(machine).kill();
        else await rejects(made, 'aborted');
        expect(await listWorkers(bench.runtimeDirectory)).to.deep.equal([]);
      }
    });

    it('is ended by an abort of its boot, at any moment', async () => {
      for (const delay of [undefined, 0, 1, 2, 4, 8]) {
        const machine = await bench.create('idle');
        const controller = new AbortController();
        if (delay === undefined) controller.abort();
        else setTimeout(() => controller.abort(), delay);
        const booted = machine.boot({ signal: controller.signal });
        const ended = await booted.then(
          () => false,
          () => true,
        );
        if (ended) {
          const { cause } = await rejects(booted, 'aborted');
          expect(cause).to.equal(controller.signal.reason);
          expect((await eventOf(machine, 'stopped')).reason).to.equal('killed');
          expect((await readExit(bench.runtimeDirectory, machine.id))?.reason).to.equal('killed');
        } else expect((await machine.info()).state).to.equal('running');
        if (delay === undefined) expect(ended).to.equal(true);
        // An abort that comes after the boot changes nothing.
        controller.abort();
        await machine.kill();
      }
    });

    it('goes on when the caller of a pause, a resume or a reset waits no longer', async () => {
      const machine = await bench.boot('idle');
      const state = async (wanted: string): Promise<void> => {
        await until(async () => (await machine.info()).state === wanted);
      };
      await outputUntil(machine, 'ready\n');
      for (const call of [machine.pause, machine.resume, machine.reset])
        await rejects(call.call(machine, { signal: AbortSignal.abort() }), 'aborted');
      expect((await machine.info()).state, 'nothing was asked').to.equal('running');
      const [pausing, resuming, resetting] = [new AbortController(), new AbortController(), new AbortController()];
      const paused = machine.pause({ signal: pausing.signal });
      pausing.abort();
      await rejects(paused, 'aborted');
      await state('paused');
      const resumed = machine.resume({ signal: resuming.signal });
      resuming.abort();
      await rejects(resumed, 'aborted');
      await state('running');
      const reset = machine.reset({ signal: resetting.signal });
      resetting.abort();
      await rejects(reset, 'aborted');
      await eventOf(machine, 'guest-reset');
      expect(await outputUntil(machine, 'ready\nready\n')).to.equal('ready\nready\n');
      await machine.pause({ signal: new AbortController().signal });
      expect((await machine.info()).state).to.equal('paused');
    });

    it('tells its end even after a flood of events that nobody had time for', async () => {
      const machine = await bench.boot('reset-cf9');
      await eventOf(machine, 'guest-reset');
      const busyUntil = performance.now() + 1000;
      while (performance.now() < busyUntil);
      await machine.kill();
      const events = [];
      for await (const event of machine.events()) events.push(event);
      expect(events.find((event) => event.kind === 'stopped')).to.include({ reason: 'killed' });
      const numbers = events.map(({ seq }) => seq);
      expect(numbers).to.deep.equal([...numbers].sort((one, other) => one - other));
    });

    it('keeps a process alive that waits for its events, and no longer', () => {
      const options = JSON.stringify(bench.options('hello'));
      const script = `
        import { Machine } from ${JSON.stringify(packageEntry)};
        const machine = await Machine.create(${options});
        await machine.boot();
        for await (const event of machine.events()) if (event.kind === 'stopped') console.log(event.reason);
        await machine.kill();`;
      const done = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 30_000 });
      expect(done.stdout, done.stderr).to.equal('powered-off\n');
      expect(done.status).to.equal(0);
    });

    it('lets a process end while the machine runs', async () => {
      for (const [ending, status] of [
        ['', 0],
        ['process.exit(7)', 7],
        ['throw new Error("mine")', 1],
      ] as const) {
        const options = bench.options('spin');
        const script = `
          import { Machine } from ${JSON.stringify(packageEntry)};
          const machine = await Machine.create(${JSON.stringify(options)});
          await machine.boot();
          machine.events();
          ${ending}`;
        const done = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8', timeout: 30_000 });
        expect(done.status, done.stderr).to.equal(status);
        const left = (await listWorkers(bench.runtimeDirectory)).find(({ id }) => id === options.id);
        expect(left?.alive ?? false).to.equal(isolation === 'process');
        if (left?.alive) bench.keep(await Machine.adopt({ id: options.id, runtimeDirectory: bench.runtimeDirectory }));
      }
    });

    it('does not hear of an event reader that aborts', async () => {
      const machine = await bench.boot('idle');
      const kinds: string[] = [];
      for await (const event of machine.events({ signal: AbortSignal.timeout(50) })) kinds.push(event.kind);
      expect(kinds).to.deep.equal(['state']);
    });
  });

  describe(`The console of a machine, isolation ${isolation}`, function () {
    this.timeout(60_000);
    const bench = benchForEach(isolation);

    it('takes input', async () => {
      const machine = await bench.boot('echo');
      const console = await openConsole({ path: machine.consolePath, offset: 0, write: true });
      expect(await readUntil(console, 'ready\n')).to.equal('ready\n');
      await console.write('xyz');
      expect(await readUntil(console, 'xyz')).to.equal('xyz');
      await console.write('o');
      expect((await eventOf(machine, 'stopped')).reason).to.equal('powered-off');
      console.close();
    });

    it('goes on from any offset that is kept', async () => {
      const machine = await bench.boot('idle');
      await outputUntil(machine, 'ready\n');
      const console = await openConsole({ path: machine.consolePath, offset: 3 });
      expect(console).to.include({ offset: 3, ringBytes: 1 << 20 });
      expect(await readUntil(console, '\n')).to.equal('dy\n');
      console.close();
      const live = await openConsole({ path: machine.consolePath });
      expect(live.offset).to.equal(6);
      live.close();
    });

    it('has one writer and any number of readers', async () => {
      const machine = await bench.boot('idle');
      const first = await openConsole({ path: machine.consolePath, write: true });
      await rejects(openConsole({ path: machine.consolePath, write: true }), 'console.busy');
      const reader = await openConsole({ path: machine.consolePath, offset: 0 });
      await readUntil(reader, 'ready\n');
      await rejects(reader.write('x'), 'machine.state');
      first.close();
      reader.close();
      const deadline = performance.now() + 5000;
      const next = (): Promise<void> =>
        openConsole({ path: machine.consolePath, write: true }).then(
          (console) => console.close(),
          async (error: unknown) => {
            if (performance.now() > deadline) throw error;
            await sleep(50);
            await next();
          },
        );
      await next();
    });

    it('is read as it is at this moment, and wholly after the end until the machine is killed', async () => {
      const machine = await bench.boot('button');
      const place = { id: machine.id, runtimeDirectory: bench.runtimeDirectory };
      const text = async (): Promise<string> => Buffer.from((await readConsole(place))?.bytes ?? []).toString('latin1');
      await outputUntil(machine, 'ready\n');
      expect(await text()).to.equal('ready\n');
      expect(await readExit(place.runtimeDirectory, place.id)).to.equal(undefined);
      await machine.powerButton();
      await eventOf(machine, 'stopped');
      expect(await text()).to.equal('ready\nbutton\n');
      expect((await readExit(place.runtimeDirectory, place.id))?.reason).to.equal('powered-off');
      await machine.kill();
      expect(await readConsole(place)).to.equal(undefined);
    });

    it('is whole after the machine was ended from outside, to the last byte', async () => {
      const machine = await bench.boot('ticker');
      const place = { id: machine.id, runtimeDirectory: bench.runtimeDirectory };
      await outputUntil(machine, '.....');
      const console = await openConsole({ path: machine.consolePath, offset: 0 });
      const reading = (async () => {
        let read = '';
        for await (const chunk of console.data) read += Buffer.from(chunk).toString('latin1');
        return read;
      })();
      await machine.end();
      const read = await reading;
      expect(Buffer.from((await readConsole(place))?.bytes ?? []).toString('latin1')).to.equal(read);
      expect((await readExit(place.runtimeDirectory, place.id))?.reason).to.equal('killed');
      await machine.end();
      if (isolation === 'process') await removeStale(place.runtimeDirectory, place.id);
      await machine.kill();
      expect(existsSync(join(place.runtimeDirectory, 'machines', place.id))).to.equal(false);
    });

    it('frees its writer at once, however quiet the guest is', async () => {
      const machine = await bench.boot('idle');
      await outputUntil(machine, 'ready\n');
      for (let turn = 0; turn < 10; turn += 1) {
        const console = await openConsole({ path: machine.consolePath, write: true });
        console.close();
        // Node closes the descriptor in the next turns of its loop.
        await sleep(5);
      }
    });

    it('ends with the machine', async () => {
      const machine = await bench.boot('button');
      const console = await openConsole({ path: machine.consolePath, offset: 0 });
      await readUntil(console, 'ready\n');
      await machine.powerButton();
      let rest = '';
      for await (const chunk of console.data) rest += Buffer.from(chunk).toString('latin1');
      expect(rest).to.equal('button\n');
    });

    it('of a guest that ends at once is whole for who attached before, and for who asks afterwards', async () => {
      for (let turn = 0; turn < 5; turn += 1) {
        const machine = await bench.create('hello');
        const place = { id: machine.id, runtimeDirectory: bench.runtimeDirectory };
        const console = await openConsole({ path: machine.consolePath, write: true });
        await machine.boot();
        await eventOf(machine, 'stopped');
        // Typing when nobody is there any more takes nothing away.
        while (
          await console.write('x').then(
            () => true,
            () => false,
          )
        )
          await sleep(5);
        expect(await readUntil(console, 'hello\n')).to.equal('hello\n');
        expect(Buffer.from((await readConsole(place))?.bytes ?? []).toString('latin1')).to.equal('hello\n');
      }
    });

    it('ends for a reader that closes or aborts', async () => {
      const machine = await bench.boot('idle');
      await outputUntil(machine, 'ready\n');
      const aborted = await openConsole({ path: machine.consolePath, signal: AbortSignal.timeout(50) });
      for await (const chunk of aborted.data) expect(chunk).to.equal(undefined);
      await rejects(openConsole({ path: machine.consolePath, signal: AbortSignal.abort() }), 'aborted');
      await machine.kill();
      await rejects(openConsole({ path: machine.consolePath }), 'worker.gone');
    });
  });
}
