// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import {
  AbortedError,
  AuthenticationError,
  ConflictError,
  type CreateMachine,
  type Event,
  Flotilla,
  InvalidRequestError,
  type MachineHandle,
  NotFoundError,
  OperationError,
  PermissionError,
  PreconditionError,
} from '../src/index.js';
import { type Running, startOrchestrator } from './orchestrator.js';

const rejection = async (attempt: PromiseLike<unknown>): Promise<unknown> => {
  try {
    await attempt;
  } catch (error) {
    return error;
  }
  throw new Error('It was accepted');
};

describe('The SDK, against an orchestrator', () => {
  let server: Running;
  let client: Flotilla;
  const machine = (name: string, more: Partial<CreateMachine> = {}): CreateMachine => ({
    name,
    cpus: 1,
    memoryMiB: 64,
    boot: { kernel: 'kernel' },
    ...more,
  });

  before(async () => {
    server = await startOrchestrator();
    client = server.client;
    await client.images.import({ name: 'kernel', kind: 'kernel', format: 'elf', source: { path: server.kernelFile } });
  });
  after(() => server.stop());

  it('takes a machine from creation to deletion', async () => {
    const created: MachineHandle = await client.machines.create(machine('web'));
    expect(created.state).to.equal('running');
    expect((await created.pause()).state).to.equal('paused');
    expect((await created.resume()).state).to.equal('running');
    const stopped = await created.stop();
    expect(stopped.state).to.equal('stopped');
    await stopped.delete();
    expect(await rejection(client.machines.get('web'))).to.be.instanceOf(NotFoundError);
  });

  it('takes a storage pool from its definition to its deletion', async () => {
    const dir = { path: `${server.kernelFile}-pool` };
    const pool = await client.pools.define({ name: 'fast', kind: 'dir', dir, guardPercent: 1 });
    expect(pool).to.deep.include({ name: 'fast', state: 'ready', dir, guardPercent: 1 });
    await client.machines.create(machine('stored', { disks: [{ name: 'data', sizeMiB: 1, pool: 'fast' }] }));
    expect(await rejection(client.pools.stop('fast')))
      .to.be.instanceOf(ConflictError)
      .and.to.include({ code: 'pool.in_use' });
    await (await client.machines.get('stored')).delete({ force: true });
    expect((await client.pools.stop('fast')).state).to.equal('stopped');
    const started = await client.pools.start('fast');
    expect((await client.pools.refresh('fast')).state).to.equal('ready');
    const ifMatch = `W/"${started.generation}"`;
    expect((await client.pools.update('fast', { overcommitRatio: 2, autostart: false }, { ifMatch })).overcommitRatio).to.equal(2);
    expect(await rejection(client.pools.update('fast', { autostart: true }, { ifMatch }))).to.be.instanceOf(PreconditionError);
    expect((await client.pools.update('fast', { overcommitRatio: null })).overcommitRatio).to.equal(undefined);
    expect((await client.pools.list().all()).map(({ name }) => name)).to.deep.equal(['default', 'fast']);
    await client.pools.delete('fast', { force: false });
    expect(await rejection(client.pools.get('fast'))).to.be.instanceOf(NotFoundError);
  });

  it('takes a network from its definition to its deletion', async () => {
    const lab = await client.networks.define({ name: 'lab', kind: 'isolated', ipv4: { subnet: '10.91.0.0/24' }, labels: { team: 'red' } });
    expect(lab).to.include({ kind: 'isolated', state: 'pending', domain: 'flotilla.internal' });
    expect(await rejection(client.networks.define({ name: 'lab', kind: 'nat' }))).to.be.instanceOf(ConflictError);
    expect((await client.networks.list({ labels: { team: 'red' } }).all()).map(({ name }) => name)).to.deep.equal(['lab']);
    const ifMatch = `"${lab.generation}"`;
    expect((await client.networks.update('lab', { mtu: 1400 }, { ifMatch })).mtu).to.equal(1400);
    expect(await rejection(client.networks.update('lab', { mtu: null }, { ifMatch }))).to.be.instanceOf(PreconditionError);
    const guest = await client.machines.create(machine('labbed', { interfaces: [{ name: 'eth0', network: 'lab' }] }));
    expect(await rejection(client.networks.delete('lab')))
      .to.be.instanceOf(ConflictError)
      .and.to.have.property('code', 'network.in_use');
    const web = await client.machines.create(machine('forwarded', { start: false, interfaces: [{ name: 'eth0' }] }));
    const forward = await client.networks.addForward('default', { protocol: 'tcp', hostPort: 28_091, machine: web.id, guestPort: 80 });
    expect((await client.networks.forwards('default').all()).map(({ id }) => id)).to.deep.equal([forward.id]);
    await client.networks.removeForward('default', forward.id);
    expect(await client.networks.forwards('default').all()).to.deep.equal([]);
    await web.delete();
    await (await guest.stop()).delete();
    await client.networks.delete('lab');
    expect(await rejection(client.networks.get('lab'))).to.be.instanceOf(NotFoundError);
  });

  it('gives the operation at once to whoever does not want to wait', async () => {
    const pending = client.machines.create(machine('slow', { boot: { kernel: 'kernel', commandLine: 'fake.boot_ms=300' } }));
    const operation = await pending.accepted();
    expect(operation.state).to.be.oneOf(['pending', 'running']);
    const seen: string[] = [];
    const ended = await client.operations.wait(operation.id, { onProgress: ({ state }) => seen.push(state) });
    expect(ended.state).to.equal('succeeded');
    expect(seen.at(-1)).to.equal('succeeded');
    await client.machines.delete('slow', { force: true });
  });

  it('makes a failed operation an error with its code', async () => {
    const error = await rejection(client.machines.create(machine('broken', { boot: { kernel: 'kernel', commandLine: 'fake.fail=boot' } })));
    expect(error).to.be.instanceOf(OperationError);
    expect((error as OperationError).problem?.remedy).to.be.a('string');
    await client.machines.delete('broken', { force: true }).then(undefined, () => undefined);
  });

  it('pulls the cable of an interface out and plugs it in again', async () => {
    const created = await client.machines.create(machine('cabled', { interfaces: [{ name: 'eth0', mtu: 1400 }] }));
    const pulled = await created.setLink('eth0', 'down');
    expect(pulled.data.spec.interfaces?.[0]).to.include({ mtu: 1400, link: 'down' });
    expect(await rejection(created.announce('eth0'))).to.include({ code: 'interface.no_announcement' });
    expect((await client.machines.setLink('cabled', 'eth0', 'up')).data.spec.interfaces?.[0]?.link).to.equal('up');
    await created.announce('eth0');
    await created.delete({ force: true });
  });

  it('changes what a machine may do, at once and for the starts that follow', async () => {
    const created = await client.machines.create(
      machine('slow-lane', {
        disks: [{ name: 'data', sizeMiB: 1, throttle: { group: 'shared' } }],
        interfaces: [{ name: 'eth0', transmitThrottle: { bytes: { perSecond: 1000 } } }],
        throttleGroups: [{ name: 'shared', limits: { operations: { perSecond: 10, burst: 20 } } }],
      }),
    );
    const limits = { bytes: { perSecond: 4096 } };
    await created.setThrottle({ kind: 'group', name: 'shared', limits });
    await created.setThrottle({ kind: 'rng', limits });
    const { spec } = (await created.setThrottle({ kind: 'transmit', name: 'eth0', limits: {} })).data;
    expect(spec.throttleGroups).to.deep.equal([{ name: 'shared', limits }]);
    expect([spec.rngThrottle, spec.interfaces?.[0]?.transmitThrottle]).to.deep.equal([limits, {}]);
    for (const change of [{ kind: 'disk' as const, name: 'data' }, { kind: 'rng' as const, name: 'x' }, { kind: 'receive' as const }]) {
      expect(await rejection(created.setThrottle({ ...change, limits }))).to.include({ code: 'throttle.unknown', status: 404 });
    }
    const zero = { kind: 'rng' as const, limits: { bytes: { perSecond: 0 } } };
    expect(await rejection(created.setThrottle(zero))).to.include({ code: 'spec.throttle_invalid' });
    await created.delete({ force: true });
  });

  it('refuses limits that nobody could keep to', async () => {
    const disk = { name: 'data', sizeMiB: 1 };
    const wrong = [
      [{ disks: [{ ...disk, throttle: { group: 'none' } }] }, 'spec.throttle_group'],
      [{ throttleGroups: [{ name: 'g', limits: {} }], rngThrottle: { group: 'g', bytes: { perSecond: 1 } } }, 'spec.throttle_group'],
      [{ interfaces: [{ name: 'eth0', backend: 'vhost' as const, receiveThrottle: {} }] }, 'spec.throttle_unsupported'],
      [{ rng: false, rngThrottle: {} }, 'spec.throttle_unsupported'],
    ] as const;
    for (const [part, code] of wrong) {
      expect(await rejection(client.machines.create(machine('wrong-limits', structuredClone(part) as object)))).to.include({ code });
    }
  });

  it('asks a guest to give memory up, and how far it is', async () => {
    const created = await client.machines.create(machine('lean', { balloon: { targetMiB: 4, freePageHinting: true } }));
    expect((await created.setBalloon(16)).data.spec.balloon?.targetMiB).to.equal(16);
    expect(await created.balloon()).to.include({ targetBytes: 16 << 20, actualBytes: 16 << 20 });
    expect(await created.reclaimMemory()).to.deep.equal({ releasedBytes: 1 << 20, complete: true });
    await created.delete({ force: true });
  });

  it('tells what a machine has done, once and for as long as somebody looks', async () => {
    const created = await client.machines.create(machine('counted', { cpus: 2 }));
    const { parts, exits, takenAt } = await created.stats();
    expect(parts.filter(({ component }) => component === 'vcpu').map(({ name }) => name)).to.deep.equal(['vcpu:0', 'vcpu:1']);
    expect(exits).to.be.greaterThan(0);
    const seen: string[] = [takenAt];
    for await (const stats of created.watchStats({ intervalMs: 20 })) {
      expect(stats.cpuSeconds).to.be.a('number');
      if (seen.push(stats.takenAt) > 4) break;
    }
    expect(seen).to.deep.equal([...seen].sort());
    expect(Date.parse(seen.at(-1) ?? '') - Date.parse(seen[1] ?? '')).to.be.at.least(40);
    const stop = new AbortController();
    const watching = rejection(
      (async () => {
        for await (const _stats of created.watchStats({}, { signal: stop.signal })) stop.abort();
      })(),
    );
    expect(await watching).to.be.instanceOf(AbortedError);
    await created.kill();
    const ended = (async () => {
      for await (const _stats of created.watchStats()) expect.fail('it has ended');
    })();
    expect(await rejection(ended)).to.include({ code: 'machine.state_conflict' });
    await created.delete();
  });

  it('waits for a state that the machine reaches by itself', async () => {
    const created = await client.machines.create(
      machine('brief', { boot: { kernel: 'kernel', commandLine: 'fake.poweroff_after=300' }, restartPolicy: { mode: 'never' } }),
    );
    expect((await created.waitFor('stopped', { timeoutMs: 10_000 })).state).to.equal('stopped');
    await created.delete();
  });

  it('says why a machine will not reach the state waited for', async () => {
    const created = await client.machines.create(
      machine('panics', { boot: { kernel: 'kernel', commandLine: 'fake.panic_after=300' }, restartPolicy: { mode: 'never' } }),
    );
    const error = (await rejection(created.waitFor('paused', { timeoutMs: 10_000 }))) as { code: string };
    expect(error.code).to.equal('guest.panic');
    await created.delete({ force: true });
  });

  it('knows the address that waits for a guest, and tells when the guest has taken it', async () => {
    const created = await client.machines.create(machine('addressed', { interfaces: [{ name: 'eth0' }] }));
    expect(created.address).to.match(/^10\.77\./);
    expect(created.lease).to.equal(undefined);
    const stream = await client.events({ kinds: ['network.lease'] }).opened();
    const expires = Math.floor(Date.now() / 1000) + 3600;
    server.writeLeases(`${expires} ${created.data.observed.addresses[0]?.mac} ${created.address} * *\n`);
    for await (const event of stream) {
      expect(event.data).to.include({ state: 'taken', machine: created.id, ip: created.address });
      break;
    }
    expect((await created.refresh()).lease).to.deep.equal({ ip: created.address, expiresAt: new Date(expires * 1000).toISOString() });
    await created.delete({ force: true });
  });

  it('types on a console and reads it, again from any offset', async () => {
    const created = await client.machines.create(machine('console'));
    const first = await created.console();
    await first.expect('# ');
    const offset = first.offset;
    await first.write('uname -a\n');
    expect(await first.expect(/GNU\/Linux/)).to.contain('Linux fake');
    const second = await created.console({ offset, write: false });
    expect(await second.expect(/GNU\/Linux/)).to.contain('uname -a');
    const refused = (await rejection(created.console())) as { code: string };
    expect(refused.code).to.equal('console.writer_taken');
    first.close();
    second.close();
    expect(await created.logs()).to.contain('Linux fake');
    await created.delete({ force: true });
  });

  it('follows events, and takes them up where it left', async () => {
    const stop = new AbortController();
    const stream = await client.events({ kinds: ['machine.created', 'machine.deleted'] }, { signal: stop.signal }).opened();
    await (await client.machines.create(machine('seen', { start: false }))).delete();
    const seen: Event[] = [];
    for await (const event of stream) {
      seen.push(event);
      if (seen.length === 2) break;
    }
    expect(seen.map(({ kind, target }) => [kind, target.name])).to.deep.equal([
      ['machine.created', 'seen'],
      ['machine.deleted', 'seen'],
    ]);
    for await (const event of client.events({ after: seen[0]?.id ?? 0, kinds: ['machine.deleted'] })) {
      expect(event.id).to.equal(seen[1]?.id);
      break;
    }
    stop.abort();
  });

  it('lists over pages and by labels', async () => {
    for (const index of [1, 2, 3])
      await client.machines.create(machine(`page-${index}`, { start: false, labels: { set: 'pages', odd: String(index % 2) } }));
    const names = async (filter: Parameters<Flotilla['machines']['list']>[0]): Promise<string[]> =>
      (await client.machines.list(filter).all()).map(({ name }) => name).sort();
    expect(await names({ labels: { set: 'pages' }, limit: 2 })).to.deep.equal(['page-1', 'page-2', 'page-3']);
    expect(await names({ labels: { set: 'pages', odd: '1' } })).to.deep.equal(['page-1', 'page-3']);
    for (const index of [1, 2, 3]) await client.machines.delete(`page-${index}`);
  });

  it('uploads an image, and has it refused when its checksum is another', async () => {
    const content = new Uint8Array(readFileSync(server.kernelFile));
    const uploaded = await client.images.upload('uploaded', content, { kind: 'kernel', format: 'elf', labels: { team: 'red', run: '1' } });
    expect(uploaded).to.deep.include({ state: 'ready', labels: { team: 'red', run: '1' } });
    expect((await client.images.list({ labels: { run: '1' } }).all()).map(({ name }) => name)).to.deep.equal(['uploaded']);
    const error = (await rejection(client.images.upload('wrong', content, { kind: 'kernel', format: 'elf', sha256: '0'.repeat(64) }))) as {
      code: string;
    };
    expect(error.code).to.equal('image.checksum_mismatch');
    await client.images.delete('uploaded');
  });

  it('has an error class for each cause', async () => {
    expect(await rejection(client.machines.create({ ...machine('bad'), cpus: 0 })))
      .to.be.instanceOf(InvalidRequestError)
      .and.have.property('field');
    expect(await rejection(new Flotilla({ baseUrl: server.url, apiKey: 'flo_none_none' }).machines.get('x'))).to.be.instanceOf(
      AuthenticationError,
    );
    const viewer = await client.keys.create({ name: 'reader', role: 'viewer' });
    const reader = new Flotilla({ baseUrl: server.url, apiKey: viewer.secret });
    const denied = (await rejection(reader.machines.create(machine('denied')))) as PermissionError;
    expect(denied).to.be.instanceOf(PermissionError);
    expect(denied.message).to.contain('machines:write');
    const shown = await client.machines.create(machine('shown'));
    const console = await rejection((await reader.machines.get('shown')).console());
    expect(console).to.be.instanceOf(PermissionError).and.to.include({ code: 'auth.forbidden' });
    (await (await reader.machines.get('shown')).console({ write: false })).close();
    await shown.delete({ force: true });
    const kept = await client.machines.create(machine('kept', { start: false }));
    expect(await rejection(client.machines.create(machine('kept')))).to.be.instanceOf(ConflictError);
    await kept.update({ labels: { changed: 'yes' } });
    expect(await rejection(kept.update({ labels: {} }, { ifMatch: kept.etag }))).to.be.instanceOf(PreconditionError);
    await kept.delete();
  });

  it('ends a call whose signal fires', async () => {
    const controller = new AbortController();
    const pending = client.machines.create(machine('aborted', { boot: { kernel: 'kernel', commandLine: 'fake.boot_ms=2000' } }), {
      signal: controller.signal,
    });
    await pending.accepted();
    controller.abort();
    expect(await rejection(pending)).to.be.instanceOf(AbortedError);
    await client.machines.delete('aborted', { force: true });
  });
});
