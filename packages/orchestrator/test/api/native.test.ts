// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { type Body, Orchestrator } from '../support/orchestrator.js';

const REPOSITORY = join(dirname(fileURLToPath(import.meta.url)), '../../../../..');
const MEBIBYTE = 2 ** 20;
const NATIVE = { FLOTILLA_HYPERVISOR: 'native' };

/** Real workers with bare-metal guests, which run on any /dev/kvm. */
describe('What a machine leaves, with real workers', function () {
  this.timeout(60_000);
  let flotilla: Orchestrator;
  let guests: string;

  before(function () {
    try {
      accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    } catch (error) {
      if (process.env['REQUIRE_KVM'] === '1') throw error;
      console.log('SKIPPED: no usable /dev/kvm');
      this.skip();
    }
    this.timeout(900_000);
    guests = mkdtempSync(join(tmpdir(), 'flotilla-guests-'));
    execFileSync('cargo', ['run', '--quiet', '--locked', '-p', 'flotilla-test-guests', '--bin', 'make-guests', '--', guests], {
      cwd: REPOSITORY,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  });
  after(() => {
    if (guests !== undefined) rmSync(guests, { recursive: true, force: true });
  });

  beforeEach(async () => {
    flotilla = await new Orchestrator().start(NATIVE);
    for (const name of ['button', 'spin', 'hello', 'triple-fault'])
      await flotilla.change('POST', '/v1/images', { name, kind: 'kernel', format: 'elf', source: { path: join(guests, `${name}.elf`) } });
  });
  afterEach(async () => {
    if (flotilla.pid === 0) await flotilla.start(NATIVE);
    for (const machine of [...((await flotilla.call('GET', '/v1/machines')).body['items'] ?? [])])
      await flotilla.change('DELETE', `/v1/machines/${machine['id']}?force=true`);
    await flotilla.dispose();
  });

  const boot = (kernel: string, isolation = 'process', disks: unknown[] = []) =>
    flotilla.change('POST', '/v1/machines', {
      name: 'm',
      isolation,
      cpus: 1,
      memoryMiB: 16,
      boot: { kernel },
      disks,
      interfaces: [],
      restartPolicy: { mode: 'never' },
    });
  const logs = async () => String((await flotilla.call('GET', '/v1/machines/m/logs')).body);
  const observed = async () => (await flotilla.call('GET', '/v1/machines/m')).body['observed'];
  const ready = async () => {
    await flotilla.waitFor('the guest is up', async () => (await logs()) === 'ready\n');
    return Number((await observed())?.['workerPid']);
  };
  const gone = (pid: number) =>
    flotilla.waitFor('the worker is gone', async () => {
      try {
        return !execFileSync('cat', [`/proc/${pid}/stat`], { stdio: ['ignore', 'pipe', 'ignore'] })
          .toString()
          .match(/\) [^ZX]/);
      } catch {
        return true;
      }
    });
  const ended = (state: string) =>
    flotilla.waitFor<Body>(state, async () => {
      const seen = await observed();
      return seen !== undefined && String(seen['state']) === state ? seen : undefined;
    });

  it('is its whole console, whichever way it ended', async () => {
    for (let turn = 0; turn < 5; turn += 1) {
      await boot('button');
      await ready();
      await flotilla.change('POST', '/v1/machines/m/stop', { timeoutSeconds: 20, thenKill: false });
      expect(await logs(), 'power button').to.equal('ready\nbutton\n');
      await flotilla.change('DELETE', '/v1/machines/m');
    }
    for (const [guest, state, output] of [
      ['hello', 'stopped', 'hello\n'],
      ['triple-fault', 'failed', 'fault\n'],
    ] as const) {
      await boot(guest);
      await ended(state);
      expect(await logs(), guest).to.equal(output);
      await flotilla.change('DELETE', '/v1/machines/m?force=true');
    }
    await boot('spin');
    await ready();
    await flotilla.change('POST', '/v1/machines/m/kill');
    expect(await logs(), 'killed').to.equal('ready\n');
  });

  it('is a sound linked disk, which grew under a guest and without one, and an image that can be deleted after it', async () => {
    const source = join(guests, 'disk');
    writeFileSync(source, Buffer.alloc(3 * MEBIBYTE, 'from the image '));
    await flotilla.change('POST', '/v1/images', { name: 'base', kind: 'disk', format: 'raw', source: { path: source } });
    const disks = [1, 2].map((number) => ({ name: `d${number}`, image: 'base', clone: 'linked', engine: 'direct' }));
    await boot('button', 'process', disks);
    await ready();
    const image = (await flotilla.call('GET', '/v1/images/base')).body;
    const [first, second] = [...((await observed())?.['disks'] ?? [])].map((disk) => String(disk['volume'])) as [string, string];
    const pool = join(flotilla.directory, 'data/host/pools/default');
    const resize = (volume: string, sizeMiB: number) => flotilla.call('PATCH', `/v1/volumes/${volume}`, { body: { sizeMiB } });
    expect((await resize(first, 8)).body['sizeBytes']).to.equal(8 * MEBIBYTE);
    await flotilla.killHard();
    await flotilla.start(NATIVE);
    expect((await resize(first, 9)).body['sizeBytes'], 'by the worker that was adopted').to.equal(9 * MEBIBYTE);
    const refused = (await flotilla.call('DELETE', '/v1/images/base')).body;
    expect([refused['code'], String(refused['detail']).includes(first)]).to.deep.equal(['image.in_use', true]);
    await flotilla.change('POST', '/v1/machines/m/stop', { timeoutSeconds: 20, thenKill: false });
    expect((await resize(second, 5)).body['sizeBytes']).to.equal(5 * MEBIBYTE);
    await flotilla.change('POST', '/v1/machines/m/start', {});
    await ready();
    await flotilla.change('POST', '/v1/machines/m/stop', { timeoutSeconds: 20, thenKill: false });
    for (const [volume, size] of [
      [first, 9],
      [second, 5],
    ] as const) {
      const path = join(pool, 'volumes', volume);
      const whole = Buffer.alloc(size * MEBIBYTE);
      readFileSync(source).copy(whole);
      writeFileSync(join(guests, 'whole'), whole);
      execFileSync('qemu-img', ['check', '-q', '-f', 'qcow2', path]);
      execFileSync('qemu-img', ['compare', '-q', '-f', 'qcow2', '-F', 'raw', path, join(guests, 'whole')]);
    }
    expect(readFileSync(join(pool, 'images', String(image['id']))).equals(readFileSync(source))).to.equal(true);
    await flotilla.change('DELETE', '/v1/machines/m');
    await flotilla.change('DELETE', '/v1/images/base');
    expect(readdirSync(join(pool, 'volumes'))).to.deep.equal([]);
  });

  it('is the cause and the registers of a triple fault', async () => {
    await boot('triple-fault');
    const { reason, nextRestartAt } = await ended('failed');
    expect(reason).to.include({ code: 'guest.triple_fault', remedy: 'Read the console log; check that kernel and machine fit.' });
    expect(reason?.['detail']).to.match(/triple fault/i);
    expect(reason?.['detail']).to.contain('It was CPU 0.');
    // On processors by AMD the host has reset the CPU, and says so in place of registers.
    const lost = String(reason?.['detail']).includes('registers are lost');
    if (lost) expect(reason?.['registers']).to.equal(undefined);
    else expect(reason?.['registers']).to.include.keys('rip', 'rsp', 'cr0', 'cr3');
    for (const [name, value] of Object.entries(reason?.['registers'] ?? {})) expect(value, name).to.match(/^0x[0-9a-f]+$/);
    expect(lost || Number(reason?.['registers']?.['rip']) > 0).to.equal(true);
    expect(nextRestartAt).to.equal(undefined);
    const listed = (await flotilla.call('GET', '/v1/machines?name=m')).body['items']?.[0];
    expect(listed?.['observed']?.['reason']).to.deep.equal(reason);
  });

  it('is its console and the signal when its worker was killed, of which an event tells within a second', async () => {
    await flotilla.stop();
    await flotilla.start({ ...NATIVE, FLOTILLA_RECONCILE_MS: '3600000' }); // no periodic look helps
    await boot('spin');
    const pid = await ready();
    const killed = performance.now();
    process.kill(pid, 'SIGKILL');
    const seen = await ended('failed');
    expect(performance.now() - killed).to.be.below(1_000);
    expect(seen['reason']?.['detail']).to.contain('SIGKILL');
    expect(await logs()).to.equal('ready\n');
  });

  it('is found by a new orchestrator: how it ended, with its console', async () => {
    await boot('button');
    const pid = await ready();
    await flotilla.killHard();
    process.kill(pid, 'SIGTERM'); // to a worker that is the power button
    await gone(pid);
    await flotilla.start(NATIVE);
    expect((await ended('stopped'))['reason']?.['code']).to.equal('guest.powered_off');
    expect(await logs()).to.equal('ready\nbutton\n');
  });

  it('is found by a new orchestrator when both were killed: its console, and that a signal ended it', async () => {
    await boot('spin');
    const pid = await ready();
    await flotilla.killHard();
    process.kill(pid, 'SIGKILL');
    await gone(pid);
    await flotilla.start(NATIVE);
    const seen = await ended('failed');
    expect(seen['reason']?.['code']).to.equal('worker.gone');
    expect(seen['reason']?.['detail']).to.contain('by a signal');
    expect(await logs()).to.equal('ready\n');
  });

  it('is its console when it ran inside the orchestrator, which was stopped or killed', async () => {
    for (const end of ['stop', 'killHard'] as const) {
      await boot('spin', 'in-process');
      expect(await ready()).to.equal(flotilla.pid);
      await flotilla[end]();
      await flotilla.start(NATIVE);
      await ended('failed');
      expect(await logs(), end).to.equal('ready\n');
      await flotilla.change('DELETE', '/v1/machines/m?force=true');
    }
  });

  it('is itself, three times over, when the orchestrator is killed: the next adopts all in less than 2 seconds', async () => {
    const three = ['m', 'm2', 'm3'];
    for (const name of three)
      await flotilla.change('POST', '/v1/machines', {
        name,
        cpus: 1,
        memoryMiB: 16,
        boot: { kernel: 'spin' },
        disks: [],
        interfaces: [],
        restartPolicy: { mode: 'never' },
      });
    const pids = async () =>
      [...((await flotilla.call('GET', '/v1/machines')).body['items'] ?? [])].map((item) => [
        item['name'],
        item['observed']?.['state'],
        item['observed']?.['workerPid'],
      ]);
    await ready();
    const before = await pids();
    expect(before.map(([, state]) => state)).to.deep.equal(['running', 'running', 'running']);
    await flotilla.killHard();
    await flotilla.start(NATIVE);
    await flotilla.waitFor(
      'all were adopted',
      async () => (await flotilla.call('GET', '/health/ready', { key: null })).status === 200,
      2_000,
    );
    expect(await pids()).to.deep.equal(before);
    expect(await logs()).to.equal('ready\n');
  });

  it('is found by the orchestrator after the next, which adopted it alive', async () => {
    await boot('button');
    const pid = await ready();
    await flotilla.killHard();
    await flotilla.start(NATIVE);
    expect(Number((await observed())?.['workerPid'])).to.equal(pid);
    expect(await logs()).to.equal('ready\n');
    await flotilla.change('POST', '/v1/machines/m/stop', { timeoutSeconds: 20, thenKill: false });
    expect(await logs()).to.equal('ready\nbutton\n');
  });
});
