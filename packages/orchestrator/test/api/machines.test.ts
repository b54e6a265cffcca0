// SPDX-License-Identifier: Apache-2.0
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import WebSocket from 'ws';
import { onEachDatabaseOverTcp } from '../support/databases.js';
import { type Body, machine, Orchestrator } from '../support/orchestrator.js';

onEachDatabaseOverTcp('machines', (makeDatabase) => {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start();
    await flotilla.importImages();
  });

  after(() => flotilla.dispose());

  it('runs a machine from create to delete and leaves nothing', async () => {
    const created = await flotilla.call('POST', '/v1/machines', {
      body: machine('whole', { labels: { team: 'red' } }),
      headers: { prefer: 'wait=30' },
    });
    expect(created.status).to.equal(200);
    expect(created.headers.get('preference-applied')).to.equal('wait=30');
    expect(created.body['steps'] as unknown)
      .to.be.an('array')
      .with.lengthOf(6);
    const shown = await flotilla.call('GET', '/v1/machines/whole');
    expect(shown.body['observed']?.['state']).to.equal('running');
    expect(shown.body['observed']?.['addresses']?.[0]?.['address']).to.match(/^10\.77\./);
    await flotilla.change('POST', '/v1/machines/whole/pause', {});
    expect((await flotilla.call('GET', '/v1/machines/whole')).body['observed']?.['state']).to.equal('paused');
    await flotilla.change('POST', '/v1/machines/whole/resume', {});
    await flotilla.change('POST', '/v1/machines/whole/restart', { timeoutSeconds: 5 });
    await flotilla.change('POST', '/v1/machines/whole/stop', { timeoutSeconds: 5 });
    const stopped = await flotilla.call('GET', '/v1/machines/whole');
    expect(stopped.body['observed']?.['state']).to.equal('stopped');
    expect((await flotilla.call('GET', '/v1/machines/whole/logs')).body).to.contain('Flotilla fake guest');
    await flotilla.change('POST', '/v1/machines/whole/start', {});
    await flotilla.change('DELETE', '/v1/machines/whole?force=true');
    expect((await flotilla.call('GET', '/v1/machines/whole')).status).to.equal(404);
    await flotilla.waitFor('nothing is left', async () => flotilla.leftovers().length === 0);
  });

  it('takes a failed create back to nothing', async () => {
    const answer = await flotilla.call('POST', '/v1/machines', {
      body: machine('broken', { boot: { kernel: 'k', commandLine: 'fake.fail=boot' } }),
      headers: { prefer: 'wait=30' },
    });
    expect(answer.status).to.equal(200);
    expect(answer.body['state']).to.equal('failed');
    expect(answer.body['error']?.['code']).to.equal('kernel.unrecognised');
    expect((await flotilla.call('GET', '/v1/machines/broken')).status).to.equal(404);
    await flotilla.waitFor('nothing is left', async () => flotilla.leftovers().length === 0);
  });

  it('cancels a create and takes it back', async () => {
    const answer = await flotilla.call('POST', '/v1/machines', {
      body: machine('slow', { boot: { kernel: 'k', commandLine: 'fake.boot_ms=2000' } }),
    });
    expect(answer.status).to.equal(202);
    await flotilla.call('POST', `/v1/operations/${answer.body['id']}/cancel`, { body: {} });
    const ended = await flotilla.call('GET', `/v1/operations/${answer.body['id']}`, { headers: { prefer: 'wait=20' } });
    expect(ended.body['state']).to.equal('cancelled');
    expect((await flotilla.call('GET', '/v1/machines/slow')).status).to.equal(404);
  });

  it('deletes by force what is still being made: the create is cancelled, the delete succeeds, nothing is left', async () => {
    const create = await flotilla.call('POST', '/v1/machines', {
      body: machine('early', { boot: { kernel: 'k', commandLine: 'fake.boot_ms=2000' } }),
    });
    expect((await flotilla.call('DELETE', '/v1/machines/early')).body['code']).to.equal('machine.state_conflict');
    const removed = await flotilla.change('DELETE', '/v1/machines/early?force=true');
    expect(removed['kind']).to.equal('machine.delete');
    expect((await flotilla.call('GET', `/v1/operations/${create.body['id']}`)).body['state']).to.equal('cancelled');
    expect((await flotilla.call('GET', '/v1/machines/early')).status).to.equal(404);
    expect((await flotilla.call('DELETE', '/v1/machines/early?force=true')).status).to.equal(404);
    await flotilla.waitFor('nothing is left', async () => flotilla.leftovers().length === 0);
  });

  it('refuses actions that make no sense, and says what would', async () => {
    await flotilla.change('POST', '/v1/machines', machine('states', { start: false }));
    for (const action of ['stop', 'pause', 'resume', 'restart', 'kill']) {
      const answer = await flotilla.call('POST', `/v1/machines/states/${action}`, { body: {} });
      expect(answer.status, action).to.equal(409);
      expect(answer.body['code']).to.equal('machine.state_conflict');
      expect(answer.body['remedy']).to.have.length.above(10);
    }
    await flotilla.change('POST', '/v1/machines/states/start', {});
    expect((await flotilla.call('DELETE', '/v1/machines/states')).body['code']).to.equal('machine.state_conflict');
    await flotilla.change('DELETE', '/v1/machines/states?force=true');
  });

  it('compares If-Match with the generation', async () => {
    await flotilla.change('POST', '/v1/machines', machine('tagged', { start: false }));
    const tag = (await flotilla.call('GET', '/v1/machines/tagged')).headers.get('etag') ?? '';
    const changed = await flotilla.call('PATCH', '/v1/machines/tagged', { body: { labels: { a: 'b' } }, headers: { 'if-match': tag } });
    expect(changed.status).to.equal(200);
    expect(changed.body['labels']).to.deep.equal({ a: 'b' });
    const stale = await flotilla.call('DELETE', '/v1/machines/tagged', { headers: { 'if-match': tag } });
    expect(stale.status).to.equal(412);
    expect(stale.body['code']).to.equal('precondition.failed');
    await flotilla.change('DELETE', '/v1/machines/tagged');
  });

  it('changes name and size of a machine that is stopped, and notes whenever', async () => {
    await flotilla.change('POST', '/v1/machines', machine('before', { notes: 'first', labels: { team: 'red' } }));
    const change = (body: object) => flotilla.call('PATCH', '/v1/machines/before', { body });
    const early = await change({ memoryMiB: 64 });
    expect([early.status, early.body['code'], early.body['field']]).to.deep.equal([409, 'machine.state_conflict', 'memoryMiB']);
    expect((await change({ notes: 'second' })).body).to.include({ name: 'before', notes: 'second' });
    await flotilla.change('POST', '/v1/machines/before/kill', {});
    await flotilla.change('POST', '/v1/machines', machine('taken', { start: false }));
    expect((await change({ name: 'taken' })).body).to.include({ status: 409, code: 'machine.name_taken', field: 'name' });
    for (const [body, code] of [
      [{ cpus: 65 }, 'spec.cpus_out_of_range'],
      [{ memoryMiB: 17 }, 'spec.memory_unaligned'],
      [{ memoryMiB: (1 << 26) + 2 }, 'spec.memory_too_large'],
      [{ name: 'Not A Name' }, 'request.invalid_name'],
      [{ profile: 'micro' }, 'request.unknown_field'],
    ] as const)
      expect((await change(body)).body['code'], code).to.equal(code);
    const changed = await change({ name: 'after', cpus: 3, memoryMiB: 96 });
    expect(changed.status).to.equal(200);
    expect(changed.body).to.deep.include({ name: 'after', notes: 'second', labels: { team: 'red' } });
    const read = await flotilla.call('GET', '/v1/machines/after');
    expect(read.body).to.deep.equal(changed.body);
    expect(read.body['spec']).to.include({ cpus: 3, memoryMiB: 96 });
    expect((await flotilla.call('GET', '/v1/machines/before')).status).to.equal(404);
    await flotilla.change('POST', '/v1/machines/after/start', {});
    expect((await flotilla.call('GET', '/v1/machines/after')).body['observed']).to.include({ state: 'running' });
    for (const name of ['after', 'taken']) await flotilla.change('DELETE', `/v1/machines/${name}?force=true`);
  });

  it('keeps a machine that is protected, until it is no longer', async () => {
    await flotilla.change('POST', '/v1/machines', machine('kept', { protected: true }));
    const refused = await flotilla.call('DELETE', '/v1/machines/kept?force=true');
    expect([refused.status, refused.body['code']]).to.deep.equal([409, 'machine.protected']);
    expect(refused.body['remedy']).to.contain('protected: false');
    expect((await flotilla.call('GET', '/v1/machines/kept')).body['observed']).to.include({ state: 'running' });
    expect((await flotilla.call('PATCH', '/v1/machines/kept', { body: { protected: false } })).body['protected']).to.equal(false);
    await flotilla.change('DELETE', '/v1/machines/kept?force=true');
    expect((await flotilla.call('GET', '/v1/machines/kept')).status).to.equal(404);
  });

  it('makes a volume larger under a running machine, and never smaller', async () => {
    await flotilla.change('POST', '/v1/machines', machine('grower', { disks: [{ name: 'root', sizeMiB: 4 }] }));
    const volume = (await flotilla.call('GET', '/v1/machines/grower')).body['observed']?.['disks']?.[0]?.['volume'];
    const resize = (sizeMiB: number) => flotilla.call('PATCH', `/v1/volumes/${volume}`, { body: { sizeMiB } });
    const grown = await resize(9);
    expect(grown.status).to.equal(200);
    expect(grown.body['sizeBytes']).to.equal(9 * 2 ** 20);
    expect((await flotilla.call('GET', `/v1/volumes/${volume}`)).body['sizeBytes']).to.equal(9 * 2 ** 20);
    expect((await flotilla.call('GET', '/v1/machines/grower/logs')).body).to.contain(
      `root: detected capacity change to ${9 * 2 ** 20} bytes`,
    );
    expect((await resize(9)).status, 'done already').to.equal(200);
    const smaller = await resize(8);
    expect([smaller.status, smaller.body['code'], smaller.body['field']]).to.deep.equal([422, 'spec.disk_invalid', 'sizeMiB']);
    expect((await flotilla.call('PATCH', '/v1/volumes/vol-none', { body: { sizeMiB: 8 } })).body['code']).to.equal('volume.not_found');
    await flotilla.change('POST', '/v1/machines/grower/kill', {});
    expect((await resize(10)).body['sizeBytes'], 'of a machine that is stopped').to.equal(10 * 2 ** 20);
    rmSync(join(flotilla.directory, 'data/host/pools/default/volumes', String(volume)));
    expect((await resize(11)).body['code'], 'its file is lost').to.equal('file.missing');
    await flotilla.change('DELETE', '/v1/machines/grower');
  });

  it('moves frames as asked, and pulls a cable out of a guest that runs, for now and for the next start', async () => {
    const asked = { backend: 'tap', queues: 2, mtu: 1400, allowSpoofedMac: false };
    await flotilla.change(
      'POST',
      '/v1/machines',
      machine('cable', {
        interfaces: [
          { name: 'eth0', ...asked },
          { name: 'eth1', link: 'down' },
        ],
      }),
    );
    const { id } = (await flotilla.call('GET', '/v1/machines/cable')).body;
    const onHost = () => flotilla.guest(String(id)).spec.interfaces.map(({ link = 'up' }) => link);
    expect(flotilla.guest(String(id)).spec.interfaces[0]).to.include(asked);
    expect(onHost()).to.deep.equal(['up', 'down']);
    const tag = (await flotilla.call('GET', '/v1/machines/cable')).headers.get('etag') ?? '';
    const pull = (name: string, body: object, headers = {}) =>
      flotilla.call('PATCH', `/v1/machines/cable/interfaces/${name}`, { body, headers });
    const pulled = await pull('eth0', { link: 'down' }, { 'if-match': tag });
    expect(pulled.status).to.equal(200);
    expect(pulled.body['spec']?.['interfaces']?.[0]).to.include({ name: 'eth0', link: 'down' });
    expect((await pull('eth1', { link: 'up' }, { 'if-match': tag })).body['code']).to.equal('precondition.failed');
    expect(onHost()).to.deep.equal(['down', 'down']);
    expect((await pull('eth9', { link: 'up' })).body['code']).to.equal('interface.not_found');
    expect((await pull('eth0', { link: 'sideways' })).body['field']).to.equal('link');
    expect((await pull('eth1', { link: 'up' })).status).to.equal(200);
    const announce = (name: string) => flotilla.call('POST', `/v1/machines/cable/interfaces/${name}/announce`, { body: {} });
    expect((await announce('eth1')).status).to.equal(204);
    for (const [name, code] of [
      ['eth0', 'interface.no_announcement'],
      ['eth9', 'interface.not_found'],
    ] as const)
      expect((await announce(name)).body['code']).to.equal(code);
    await flotilla.change('POST', '/v1/machines/cable/kill', {});
    expect((await announce('eth1')).body['code']).to.equal('machine.state_conflict');
    expect((await pull('eth1', { link: 'up' })).status).to.equal(200);
    await flotilla.change('POST', '/v1/machines/cable/start', {});
    expect(onHost()).to.deep.equal(['down', 'up']);
    await flotilla.change('DELETE', '/v1/machines/cable?force=true');
  });

  it('asks a guest that runs to give memory up, for now and for the next start, and tells how far it is', async () => {
    await flotilla.change('POST', '/v1/machines', machine('lean', { balloon: { statisticsSeconds: 5 } }));
    const { id, spec } = (await flotilla.call('GET', '/v1/machines/lean')).body;
    const settings = { targetMiB: 0, deflateOnOom: true, freePageReporting: false, freePageHinting: false, statisticsSeconds: 5 };
    expect(spec?.['balloon']).to.deep.equal(settings);
    const onHost = () => flotilla.guest(String(id)).spec.balloon;
    const ask = (targetMiB: number, headers = {}) => flotilla.call('PATCH', '/v1/machines/lean/balloon', { body: { targetMiB }, headers });
    const tag = (await flotilla.call('GET', '/v1/machines/lean')).headers.get('etag') ?? '';
    expect((await ask(32, { 'if-match': tag })).body['spec']?.['balloon']).to.deep.equal({ ...settings, targetMiB: 32 });
    expect((await ask(16, { 'if-match': tag })).body['code']).to.equal('precondition.failed');
    expect(onHost()).to.deep.equal({ ...settings, targetMiB: 32 });
    const read = await flotilla.call('GET', '/v1/machines/lean/balloon');
    expect(read.body).to.deep.include({ targetBytes: 32 << 20, actualBytes: 32 << 20 });
    const greedy = await ask((spec?.['memoryMiB'] as number) - 15);
    expect([greedy.status, greedy.body['code'], greedy.body['field']]).to.deep.equal([422, 'spec.balloon_invalid', 'targetMiB']);
    await flotilla.change('POST', '/v1/machines/lean/kill', {});
    expect((await flotilla.call('GET', '/v1/machines/lean/balloon')).body['code']).to.equal('machine.state_conflict');
    expect((await ask(8)).status).to.equal(200);
    await flotilla.change('POST', '/v1/machines/lean/start', {});
    expect(onHost()?.targetMiB).to.equal(8);
    await flotilla.change('DELETE', '/v1/machines/lean?force=true');
  });

  it('takes back what nothing in a guest uses, as long as that runs and can tell', async () => {
    await flotilla.change('POST', '/v1/machines', machine('roomy', { balloon: { freePageHinting: true } }));
    await flotilla.change('POST', '/v1/machines', machine('mute', { balloon: {} }));
    const reclaim = (name: string) => flotilla.call('POST', `/v1/machines/${name}/balloon/reclaim`, { body: {} });
    const given = await reclaim('roomy');
    expect([given.status, given.body]).to.deep.equal([200, { releasedBytes: 1 << 20, complete: true }]);
    const mute = await reclaim('mute');
    expect([mute.status, mute.body['code']]).to.deep.equal([409, 'machine.no_hinting']);
    await flotilla.change('POST', '/v1/machines/roomy/pause', {});
    expect((await reclaim('roomy')).body['code']).to.equal('machine.state_conflict');
    for (const name of ['roomy', 'mute']) await flotilla.change('DELETE', `/v1/machines/${name}?force=true`);
  });

  it('asks nothing of a guest without a balloon', async () => {
    await flotilla.change('POST', '/v1/machines', machine('fat'));
    for (const asked of [
      await flotilla.call('GET', '/v1/machines/fat/balloon'),
      await flotilla.call('PATCH', '/v1/machines/fat/balloon', { body: { targetMiB: 0 } }),
      await flotilla.call('POST', '/v1/machines/fat/balloon/reclaim', { body: {} }),
    ])
      expect([asked.status, asked.body['code']]).to.deep.equal([409, 'machine.no_balloon']);
    await flotilla.change('DELETE', '/v1/machines/fat?force=true');
  });

  it('pulls no cable while an operation is at work on the machine', async () => {
    const create = await flotilla.call('POST', '/v1/machines', {
      body: machine('busy', { boot: { kernel: 'k', commandLine: 'fake.boot_ms=2000' } }),
    });
    const refused = await flotilla.call('PATCH', '/v1/machines/busy/interfaces/eth0', { body: { link: 'down' } });
    expect(refused.body['code']).to.equal('machine.state_conflict');
    expect(refused.body['detail']).to.contain(create.body['id']);
    await flotilla.change('DELETE', '/v1/machines/busy?force=true');
  });

  it('keeps no spoofed addresses back where the kernel moves the frames, and says so', async () => {
    const interfaces = [{ name: 'eth0', backend: 'vhost', allowSpoofedMac: false }];
    const refused = await flotilla.call('POST', '/v1/machines', { body: machine('spoof', { interfaces }) });
    expect(refused.status).to.equal(422);
    expect(refused.body).to.include({ code: 'spec.spoof_guard_unsupported', field: 'interfaces[0].allowSpoofedMac' });
  });

  it('gives an interface user-mode networking in place of a network, and refuses what no such network can be', async () => {
    const forward = { protocol: 'tcp', hostPort: 8080, guestPort: 80 };
    const interfaces = [{ name: 'eth0', user: { forwards: [forward] } }, { name: 'eth1' }];
    await flotilla.change('POST', '/v1/machines', machine('alone', { interfaces }));
    const { body } = await flotilla.call('GET', '/v1/machines/alone');
    const spec = body['spec'] as { interfaces: Record<string, unknown>[] };
    expect(spec.interfaces[0])
      .to.deep.include({ user: { forwards: [forward] } })
      .and.not.to.have.property('network');
    const { addresses: held } = body['observed'] as { addresses: { interface: string }[] };
    const addresses = held.map((one) => one.interface);
    expect(addresses, 'networks keep addresses only for their own').to.deep.equal(['eth1']);
    await flotilla.change('DELETE', '/v1/machines/alone?force=true');

    const refused = async (link: object) => {
      const { status, body } = await flotilla.call('POST', '/v1/machines', {
        body: machine('no', { interfaces: [{ name: 'e', ...link }] }),
      });
      return [status, body['code'], body['field']];
    };
    const at = 'interfaces[0]';
    const forwards = (...list: object[]) => ({ user: { forwards: list } });
    expect(await refused({ user: {}, network: 'default' })).to.deep.equal([422, 'spec.network_conflict', `${at}.user`]);
    expect(await refused({ user: {}, backend: 'vhost' })).to.deep.equal([422, 'spec.network_conflict', `${at}.backend`]);
    expect(await refused({ user: {}, queues: 2 })).to.deep.equal([422, 'spec.network_conflict', `${at}.queues`]);
    const invalid = async (link: object) => (await refused(link)).slice(1);
    expect(await invalid(forwards(forward, forward))).to.deep.equal(['spec.forward_invalid', `${at}.user.forwards[1].hostPort`]);
    expect(await invalid(forwards({ ...forward, hostPort: 0 }))).to.deep.equal(['spec.forward_invalid', `${at}.user.forwards[0].hostPort`]);
    expect(await invalid(forwards({ ...forward, hostAddress: 'fe80::1%eth0' }))).to.deep.equal([
      'spec.forward_invalid',
      `${at}.user.forwards[0].hostAddress`,
    ]);
    const many = Array.from({ length: 65 }, (_, index) => ({ ...forward, hostPort: index + 1 }));
    expect(await invalid(forwards(...many))).to.deep.equal(['spec.forward_invalid', `${at}.user.forwards`]);
  });

  it('puts an interface on a link of the host that was named for it, and leaves nothing when it is refused or killed', async () => {
    const on = (parent: string, more: object = {}) => ({ interfaces: [{ name: 'eth0', macvtap: { parent, ...more } }] });
    await flotilla.stop();
    await flotilla.start({ FLOTILLA_MACVTAP_PARENTS: 'up0,up1' });
    await flotilla.change('POST', '/v1/machines', machine('beside', on('up1')));
    const { body } = await flotilla.call('GET', '/v1/machines/beside');
    const spec = body['spec'] as { interfaces: Record<string, unknown>[] };
    expect(spec.interfaces[0])
      .to.deep.include({ macvtap: { parent: 'up1', mode: 'bridge' } })
      .and.not.to.have.property('network');
    expect(flotilla.guest(String(body['id'])).spec.interfaces[0]?.tap).to.match(/^flom-/);
    const links = () => flotilla.leftovers().filter((name) => name.startsWith('macvtaps/'));
    expect(links()).to.have.length(1);

    const refused = await flotilla.call('POST', '/v1/machines', { body: machine('elsewhere', on('eth0')), headers: { prefer: 'wait=60' } });
    expect(refused.body['error']).to.include({ code: 'macvtap.parent_refused', field: 'interfaces[0].macvtap.parent' });
    expect((refused.body['error'] as { detail: string }).detail).to.contain('up0, up1');
    for (const [link, field] of [
      [{ macvtap: { parent: 'up0' }, network: 'default' }, 'macvtap'],
      [{ macvtap: { parent: 'up0' }, user: {} }, 'macvtap'],
      [{ macvtap: { parent: '../x' } }, 'macvtap.parent'],
      [{ macvtap: { parent: 'up0', mode: 'passthru' } }, 'macvtap.mode'],
    ] as const) {
      const { status, body: answer } = await flotilla.call('POST', '/v1/machines', {
        body: machine('no', { interfaces: [{ name: 'e', ...link }] }),
      });
      expect([status, answer['field']]).to.deep.equal([422, `interfaces[0].${field}`]);
    }
    expect(links()).to.have.length(1);
    await flotilla.killHard();
    await flotilla.start({ FLOTILLA_MACVTAP_PARENTS: 'up0' });
    await flotilla.change('DELETE', '/v1/machines/beside?force=true');
    expect(links()).to.deep.equal([]);
  });

  it('locks a volume for the machine that holds it', async () => {
    await flotilla.change('POST', '/v1/machines', machine('holder', { start: false }));
    const volume = (await flotilla.call('GET', '/v1/machines/holder')).body['observed']?.['disks']?.[0]?.['volume'];
    const second = await flotilla.call('POST', '/v1/machines', { body: machine('thief', { disks: [{ name: 'root', volume }] }) });
    expect(second.status).to.equal(409);
    expect(second.body['code']).to.equal('volume.locked');
    expect(second.body['field']).to.equal('disks[0].volume');
    await flotilla.change('DELETE', '/v1/machines/holder');
  });

  it('marks a machine failed when its worker has died, and restarts it with back-off', async () => {
    await flotilla.change(
      'POST',
      '/v1/machines',
      machine('mortal', { restartPolicy: { mode: 'on-failure', maxRetries: 1, backoffSeconds: 1 } }),
    );
    const socket = await attach(flotilla, 'mortal', 'write=true');
    const before = Date.now();
    socket.client.send(Buffer.from('crash\r'));
    const failed = await flotilla.waitFor<Body>('failed', async () => {
      const { body } = await flotilla.call('GET', '/v1/machines/mortal');
      return body['observed']?.['state'] === 'failed' && body;
    });
    expect(failed['observed']?.['reason']?.['code']).to.equal('worker.gone');
    const again = await flotilla.waitFor<Body>('running again', async () => {
      const { body } = await flotilla.call('GET', '/v1/machines/mortal');
      return body['observed']?.['state'] === 'running' && body;
    });
    expect(Date.now() - before).to.be.above(900);
    expect(again['observed']?.['restarts']).to.equal(1);
    await flotilla.change('DELETE', '/v1/machines/mortal?force=true');
  });

  it('gives the console to several readers and one writer, with resume', async () => {
    await flotilla.change('POST', '/v1/machines', machine('chatty'));
    const writer = await attach(flotilla, 'chatty', 'write=true&offset=0');
    const reader = await attach(flotilla, 'chatty', 'offset=0');
    expect(writer.hello).to.include({ offset: 0, writer: true, size: 1024 * 1024 });
    expect(reader.hello).to.include({ writer: false });
    const second = await attach(flotilla, 'chatty', 'write=true');
    expect(await second.closed).to.equal(4009);
    writer.client.send(Buffer.from('uname -a\r'));
    await flotilla.waitFor('both see the answer', async () => writer.text().includes('Linux fake') && reader.text().includes('Linux fake'));
    reader.client.send(Buffer.from('poweroff\r'));
    const offset = reader.text().indexOf('uname');
    const resumed = await attach(flotilla, 'chatty', `offset=${offset}`);
    await flotilla.waitFor('the resumed part', async () => resumed.text().startsWith('uname -a'));
    expect(await (await attach(flotilla, 'nobody', '')).closed).to.equal(4004);
    expect(await (await attach(flotilla, 'chatty', '', 'flo_wrong')).closed).to.equal(4001);
    writer.client.send(Buffer.from('poweroff\r'));
    expect(await writer.closed).to.equal(4010);
    await flotilla.waitFor(
      'stopped',
      async () => (await flotilla.call('GET', '/v1/machines/chatty')).body['observed']?.['state'] === 'stopped',
    );
    const tail = await flotilla.call('GET', '/v1/machines/chatty/logs?tailBytes=12');
    expect(tail.body).to.have.length(12);
    expect(Number(tail.headers.get('x-console-offset'))).to.be.above(0);
    await flotilla.change('DELETE', '/v1/machines/chatty');
  });
});

interface Attached {
  client: WebSocket;
  hello: Record<string, unknown>;
  closed: Promise<number>;
  text(): string;
}

/** Attaches and waits for the first frame or the close. */
async function attach(flotilla: Orchestrator, name: string, query: string, key = flotilla.key): Promise<Attached> {
  const client = new WebSocket(`${flotilla.url.replace('http', 'ws')}/v1/machines/${name}/console?${query}`, {
    headers: { authorization: `Bearer ${key}` },
  });
  let text = '';
  const closed = new Promise<number>((resolve) => client.once('close', (code) => resolve(code)));
  const hello = await new Promise<Record<string, unknown>>((resolve, reject) => {
    client.once('error', reject);
    client.once('close', () => resolve({}));
    client.on('message', (data, binary) => {
      if (binary) text += (data as Buffer).toString();
      else resolve(JSON.parse((data as Buffer).toString()) as Record<string, unknown>);
    });
  });
  return { client, hello, closed, text: () => text };
}
