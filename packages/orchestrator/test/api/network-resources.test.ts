// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { onEachDatabase } from '../support/databases.js';
import { type Answer, type Body, machine, Orchestrator } from '../support/orchestrator.js';

const refusal = ({ status, body }: Answer) => [status, body['code'], body['field']].filter((one) => one !== undefined);

onEachDatabase('networks', (makeDatabase) => {
  let flotilla: Orchestrator;

  beforeEach(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start();
    await flotilla.importImages();
  });
  afterEach(() => flotilla.dispose());

  const define = (name: string, more: Record<string, unknown> = {}) =>
    flotilla.call('POST', '/v1/networks', { body: { name, kind: 'nat', ...more } });
  const get = async (name: string): Promise<Body> => (await flotilla.call('GET', `/v1/networks/${name}`)).body;
  const remove = (name: string, headers: Record<string, string> = {}) => flotilla.call('DELETE', `/v1/networks/${name}`, { headers });
  const on = (name: string, network: string, more: Record<string, unknown> = {}) =>
    machine(name, { interfaces: [{ name: 'eth0', network, ...more }] });
  /** What the host was told of networks. */
  const onHost = () => {
    const directory = join(flotilla.directory, 'run/fake/networks');
    return (existsSync(directory) ? readdirSync(directory).filter((name) => !name.endsWith('.new')) : []).map(
      (name) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as Record<string, unknown>,
    );
  };

  it('are defined, with addresses that nobody has, and with those that are asked for', async () => {
    const made = await define('red');
    expect(made.status).to.equal(201);
    expect(made.body).to.include({ name: 'red', kind: 'nat', domain: 'flotilla.internal', state: 'pending', generation: 1 });
    expect(made.body).to.include({ antiSpoofing: true, isolateMachines: false });
    expect(made.body['ipv4']).to.deep.equal({ subnet: '10.77.0.0/24', gateway: '10.77.0.1', dhcpRange: '10.77.0.2-10.77.0.254' });
    expect((await define('blue')).body['ipv4']?.['subnet']).to.equal('10.77.1.0/24');
    expect((await get('default'))['ipv4']?.['subnet'], 'the one that makes itself knows of them').to.equal('10.77.2.0/24');
    const ipv4 = { subnet: '10.200.0.0/29', gateway: '10.200.0.6', dhcpRange: '10.200.0.2-10.200.0.3' };
    const lab = await define('lab', { kind: 'isolated', ipv4, mtu: 9000, domain: 'lab.test', labels: { team: 'red' } });
    expect(lab.body).to.include({ kind: 'isolated', mtu: 9000, domain: 'lab.test' });
    expect(lab.body['ipv4']).to.deep.equal(ipv4);
    expect((await flotilla.call('GET', '/v1/networks?labels=team=red')).body['items']).to.have.length(1);
    const bridges = [...(await flotilla.call('GET', '/v1/networks')).body['items']].map((one) => one['bridge']);
    expect(new Set(bridges).size).to.equal(4);
    expect((await define('far', { kind: 'routed', ipv4: { subnet: '203.0.113.0/28' } })).status).to.equal(201);
    expect(onHost(), 'nobody uses them yet').to.deep.equal([]);
  });

  it('are refused with the field at fault', async () => {
    await define('red', { ipv4: { subnet: '10.90.0.0/24' } });
    const ipv4 = (more: Record<string, unknown>) => ({ ipv4: { subnet: '10.91.0.0/24', ...more } });
    const cases: [Record<string, unknown>, unknown[]][] = [
      [{ name: 'red' }, [409, 'network.name_taken', 'name']],
      [{ name: 'default' }, [409, 'network.name_taken', 'name']],
      [{ kind: 'open' }, [422, 'request.invalid_value', 'kind']],
      [{ kind: undefined }, [422, 'request.missing_field', 'kind']],
      [{ mtu: 575 }, [422, 'request.invalid_value', 'mtu']],
      [{ mtu: 9217 }, [422, 'request.invalid_value', 'mtu']],
      [{ domain: 'a b' }, [422, 'request.invalid_value', 'domain']],
      [{ domain: 'x\ndhcp-script=/tmp/x' }, [422, 'request.invalid_value', 'domain']],
      [{ domain: `${'a.'.repeat(90)}b` }, [422, 'request.invalid_value', 'domain']],
      [{ labels: { 'a b': 'c' } }, [422, 'request.invalid_labels', 'labels']],
      [{ bridge: 'br0' }, [422, 'network.config_invalid', 'bridge']],
      [{ kind: 'bridge' }, [422, 'network.config_invalid', 'bridge']],
      [{ kind: 'bridge', bridge: 'br0; reboot' }, [422, 'network.config_invalid', 'bridge']],
      [{ kind: 'bridge', bridge: 'br0', ipv4: {} }, [422, 'network.config_invalid', 'ipv4']],
      [{ kind: 'bridge', bridge: 'br0', mtu: 1400 }, [422, 'network.config_invalid', 'mtu']],
      [{ kind: 'bridge', bridge: 'br0', domain: 'x' }, [422, 'network.config_invalid', 'domain']],
      [{ kind: 'bridge', bridge: 'br0', antiSpoofing: true }, [422, 'network.config_invalid', 'antiSpoofing']],
      [{ kind: 'bridge', bridge: 'br0', isolateMachines: false }, [422, 'network.config_invalid', 'isolateMachines']],
      [{ isolateMachines: 'yes' }, [422, 'request.invalid_type', 'isolateMachines']],
      [{ vlan: 7 }, [422, 'request.unknown_field', 'vlan']],
      [{ ipv4: { subnet: '10.90.0.128/25' } }, [409, 'network.subnet_overlaps', 'ipv4.subnet']],
      [{ ipv4: { subnet: '10.90.0.0/16' } }, [409, 'network.subnet_overlaps', 'ipv4.subnet']],
      [{ ipv4: { subnet: '192.168.7.0/24' } }, [409, 'network.subnet_overlaps', 'ipv4.subnet']],
      [{ ipv4: { subnet: '8.8.8.0/24' } }, [422, 'network.subnet_invalid', 'ipv4.subnet']],
      [{ kind: 'isolated', ipv4: { subnet: '8.8.8.0/24' } }, [422, 'network.subnet_invalid', 'ipv4.subnet']],
      [{ kind: 'routed', ipv4: { subnet: '127.0.0.0/24' } }, [422, 'network.subnet_invalid', 'ipv4.subnet']],
      [{ kind: 'routed', ipv4: { subnet: '0.0.0.0/0' } }, [422, 'network.subnet_invalid', 'ipv4.subnet']],
      [{ ipv4: { subnet: '10.91.0.1/24' } }, [422, 'network.subnet_invalid', 'ipv4.subnet']],
      [{ ipv4: { subnet: '10.91.0.0/31' } }, [422, 'network.subnet_invalid', 'ipv4.subnet']],
      [{ ipv4: { subnet: '10.91.0.0/24; drop' } }, [422, 'network.subnet_invalid', 'ipv4.subnet']],
      [ipv4({ gateway: '10.91.0.0' }), [422, 'network.subnet_invalid', 'ipv4.gateway']],
      [ipv4({ gateway: '10.91.0.255' }), [422, 'network.subnet_invalid', 'ipv4.gateway']],
      [ipv4({ gateway: '10.92.0.1' }), [422, 'network.subnet_invalid', 'ipv4.gateway']],
      [ipv4({ dhcpRange: '10.91.0.9-10.91.0.2' }), [422, 'network.subnet_invalid', 'ipv4.dhcpRange']],
      [ipv4({ dhcpRange: '10.91.0.1-10.91.0.1' }), [422, 'network.subnet_invalid', 'ipv4.dhcpRange']],
      [ipv4({ dhcpRange: '10.91.0.2-10.92.0.2' }), [422, 'network.subnet_invalid', 'ipv4.dhcpRange']],
    ];
    for (const [body, expected] of cases) {
      const answer = await define('new', body);
      expect(refusal(answer), JSON.stringify(body)).to.deep.equal(expected);
    }
    expect((await define('new', { ipv4: { subnet: '10.90.0.0/24' } })).body['detail']).to.contain('"red"');
    expect([...(await flotilla.call('GET', '/v1/networks?name=new')).body['items']]).to.deep.equal([]);
  });

  it('are on the host while machines use them, as they are changed, and then no more', async () => {
    await define('lab', { kind: 'isolated', mtu: 1400 });
    await flotilla.change('POST', '/v1/machines', on('one', 'lab'));
    await flotilla.change('POST', '/v1/machines', on('two', 'lab', { mtu: 1200 }));
    expect(onHost()).to.have.length(1);
    expect(onHost()[0]).to.include({
      kind: 'isolated',
      mtu: 1400,
      domain: 'flotilla.internal',
      antiSpoofing: true,
      isolateMachines: false,
    });
    const one = (await flotilla.call('GET', '/v1/machines/one')).body['id'];
    expect((onHost()[0]?.['reservations'] as unknown[] | undefined)?.[0]).to.include({
      machineId: one,
      interface: 'eth0',
      hostname: 'one',
    });
    expect((await get('lab'))['state']).to.equal('ready');
    const told = async (name: string) =>
      flotilla.guest(String((await flotilla.call('GET', `/v1/machines/${name}`)).body['id'])).spec.interfaces[0]?.mtu;
    expect([await told('one'), await told('two')]).to.deep.equal([1400, 1200]);
    const used = await remove('lab');
    expect(refusal(used)).to.deep.equal([409, 'network.in_use']);
    expect(used.body['detail']).to.contain('"one", "two"');
    const change = (body: unknown, etag = '*') => flotilla.call('PATCH', '/v1/networks/lab', { body, headers: { 'if-match': etag } });
    expect(refusal(await change({ domain: 'x' }, 'W/"7"'))).to.deep.equal([412, 'precondition.failed']);
    expect(
      (await change({ domain: 'lab.test', mtu: null, labels: { a: 'b' }, isolateMachines: true, antiSpoofing: false }, 'W/"1"')).body,
    ).to.deep.include({
      domain: 'lab.test',
      labels: { a: 'b' },
      generation: 2,
    });
    expect(onHost()[0]).to.include({ domain: 'lab.test', isolateMachines: true, antiSpoofing: false }).and.not.to.have.property('mtu');
    for (const name of ['one', 'two']) await flotilla.change('DELETE', `/v1/machines/${name}?force=true`);
    await flotilla.waitFor('the host has it no more', async () => onHost().length === 0);
    expect(refusal(await remove('lab', { 'if-match': 'W/"1"' }))).to.deep.equal([412, 'precondition.failed']);
    expect((await remove('lab', { 'if-match': 'W/"2"' })).status).to.equal(204);
    expect(refusal(await remove('lab'))).to.deep.equal([404, 'network.not_found']);
    const events = await flotilla.call('GET', '/v1/audit?limit=200');
    expect([...events.body['items']].filter((one) => one['permission'] === 'networks:write' && one['outcome'] === 'done')).to.have.length(
      3,
    );
  });

  it('cannot be deleted when every installation has them, but changed', async () => {
    for (const name of ['default', String((await get('default'))['id'])])
      expect(refusal(await remove(name))).to.deep.equal([409, 'network.built_in']);
    const changed = await flotilla.call('PATCH', '/v1/networks/default', { body: { domain: 'home.test' } });
    expect(changed.body).to.include({ domain: 'home.test', generation: 2, antiSpoofing: false });
  });

  it('give addresses of their range, and say when it is empty', async () => {
    await define('tiny', { ipv4: { subnet: '10.91.0.0/29', dhcpRange: '10.91.0.1-10.91.0.3' } });
    const addresses: unknown[] = [];
    for (const name of ['one', 'two']) {
      const made = await flotilla.call('POST', '/v1/machines', {
        body: { ...on(name, 'tiny'), start: false },
        headers: { prefer: 'wait=30' },
      });
      expect(made.status, JSON.stringify(made.body)).to.equal(200);
      addresses.push((await flotilla.call('GET', `/v1/machines/${name}`)).body['observed']?.['addresses']?.[0]?.['address']);
    }
    expect(addresses).to.deep.equal(['10.91.0.2', '10.91.0.3']);
    expect(refusal(await flotilla.call('POST', '/v1/machines', { body: on('three', 'tiny') }))).to.deep.equal([
      507,
      'network.full',
      'interfaces[0]',
    ]);
    expect(refusal(await flotilla.call('POST', '/v1/machines', { body: on('four', 'none') }))).to.deep.equal([
      422,
      'network.not_found',
      'interfaces[0].network',
    ]);
  });

  it('keep the addresses that are asked for, each for one interface', async () => {
    await define('lab', { ipv4: { subnet: '10.91.0.0/24', dhcpRange: '10.91.0.100-10.91.0.101' } });
    const make = (name: string, more: Record<string, unknown>) =>
      flotilla.call('POST', '/v1/machines', { body: { ...on(name, 'lab', more), start: false }, headers: { prefer: 'wait=30' } });
    const addressOf = async (name: string) =>
      (await flotilla.call('GET', `/v1/machines/${name}`)).body['observed']?.['addresses']?.[0]?.['address'];
    for (const [name, address] of [
      ['outside', '10.91.0.5'],
      ['inside', '10.91.0.100'],
      ['last', '10.91.0.254'],
    ] as const) {
      expect((await make(name, { address })).status).to.equal(200);
      expect(await addressOf(name)).to.equal(address);
    }
    expect((await make('any', {})).status).to.equal(200);
    expect(await addressOf('any'), 'the one of the range that is free').to.equal('10.91.0.101');
    const field = 'interfaces[0].address';
    const cases: [Record<string, unknown>, unknown[]][] = [
      [{ address: '10.91.0.5' }, [409, 'network.address_taken', field]],
      [{ address: '10.91.0.101' }, [409, 'network.address_taken', field]],
      [{ address: '10.91.0.1' }, [422, 'network.address_invalid', field]],
      [{ address: '10.91.0.0' }, [422, 'network.address_invalid', field]],
      [{ address: '10.91.0.255' }, [422, 'network.address_invalid', field]],
      [{ address: '10.91.1.5' }, [422, 'network.address_invalid', field]],
      [{ address: '10.91.0.5,infinite' }, [422, 'network.address_invalid', field]],
      [{ address: '10.91.0.999' }, [422, 'network.address_invalid', field]],
      [{ address: 7 }, [422, 'request.invalid_type', field]],
      [{ network: undefined, user: {}, address: '10.91.0.7' }, [422, 'spec.network_conflict', field]],
    ];
    for (const [more, expected] of cases) expect(refusal(await make('no', more)), JSON.stringify(more)).to.deep.equal(expected);
    const interfaces = [1, 2].map((number) => ({ name: `eth${number}`, network: 'lab', address: '10.91.0.7' }));
    expect(refusal(await flotilla.call('POST', '/v1/machines', { body: machine('twice', { interfaces }) }))).to.deep.equal([
      409,
      'network.address_taken',
      'interfaces[1].address',
    ]);
    const race = await Promise.all([1, 2, 3].map((number) => make(`r${number}`, { address: '10.91.0.9' })));
    expect(race.map(({ status }) => status).sort()).to.deep.equal([200, 409, 409]);
    await flotilla.change('DELETE', '/v1/machines/outside');
    expect((await make('next', { address: '10.91.0.5' })).status, 'given back').to.equal(200);
  });

  it('of one name or subnet are made once, however many ask at once; a machine and a delete exclude each other', async () => {
    const twice = await Promise.all([1, 2, 3, 4].map(() => define('same', { ipv4: { subnet: '10.93.0.0/24' } })));
    expect(twice.map(({ status }) => status).sort()).to.deep.equal([201, 409, 409, 409]);
    const chosen = await Promise.all([1, 2, 3, 4].map((number) => define(`c${number}`)));
    expect(new Set(chosen.map(({ body }) => body['ipv4']?.['subnet'])).size).to.equal(4);
    for (const round of [1, 2, 3, 4]) {
      const [made, gone] = await Promise.all([
        flotilla.call('POST', '/v1/machines', { body: { ...on(`m${round}`, `c${round}`), start: false } }),
        remove(`c${round}`),
      ]);
      expect([[202, 409].join(), [422, 204].join()]).to.include([made.status, gone.status].join());
    }
  });

  it('survive a kill of the orchestrator, and what none owns leaves the host', async () => {
    await define('lab', { kind: 'routed', mtu: 1300 });
    await flotilla.change('POST', '/v1/machines', on('one', 'lab'));
    const before = await get('lab');
    await flotilla.killHard();
    await flotilla.start();
    expect(await get('lab')).to.deep.equal(before);
    expect(onHost()).to.have.length(1);
    await flotilla.change('DELETE', '/v1/machines/one?force=true');
    const asked = remove('lab').catch(() => undefined);
    await flotilla.killHard();
    await asked;
    await flotilla.start();
    await flotilla.waitFor('the host has it no more', async () => onHost().length === 0);
  });

  it('lead ports of the host to machines, each port once, until the machine is gone', async () => {
    const busy = createServer();
    await new Promise<void>((resolve) => busy.listen(0, '0.0.0.0', resolve));
    const busyPort = (busy.address() as AddressInfo).port;
    await define('red');
    await define('lab', { kind: 'isolated' });
    await flotilla.change('POST', '/v1/machines', on('web', 'red'));
    await flotilla.change('POST', '/v1/machines', on('far', 'lab'));
    const interfaces = ['eth0', 'eth1'].map((name) => ({ name, network: 'red' }));
    await flotilla.change('POST', '/v1/machines', machine('two', { interfaces }));
    const add = (more: Record<string, unknown> = {}, network = 'red', headers: Record<string, string> = {}) =>
      flotilla.call('POST', `/v1/networks/${network}/forwards`, {
        body: { protocol: 'tcp', hostPort: 28_080, machine: 'web', guestPort: 80, ...more },
        headers,
      });
    const list = async () => [...(await flotilla.call('GET', '/v1/networks/red/forwards')).body['items']];
    const made = await add();
    expect(made.status, JSON.stringify(made.body)).to.equal(201);
    expect(made.body).to.include({ protocol: 'tcp', hostPort: 28_080, interface: 'eth0', address: '10.77.0.2', guestPort: 80 });
    const cases: [Record<string, unknown>, unknown[]][] = [
      [{}, [409, 'forward.port_busy', 'hostPort']],
      [{ hostAddress: '127.0.0.1' }, [422, 'spec.forward_invalid', 'hostAddress']],
      [{ hostAddress: '0.0.0.0' }, [422, 'spec.forward_invalid', 'hostAddress']],
      [{ hostAddress: '1.2.3.4 drop' }, [422, 'spec.forward_invalid', 'hostAddress']],
      [{ hostAddress: '203.0.113.77' }, [422, 'forward.address_unknown', 'hostAddress']],
      [{ hostPort: busyPort }, [409, 'forward.port_busy', 'hostPort']],
      [{ hostPort: 0 }, [422, 'spec.forward_invalid', 'hostPort']],
      [{ hostPort: 65_536 }, [422, 'spec.forward_invalid', 'hostPort']],
      [{ guestPort: 1.5 }, [422, 'request.invalid_type', 'guestPort']],
      [{ protocol: 'sctp' }, [422, 'request.invalid_value', 'protocol']],
      [{ hostPort: 28_081, machine: 'nobody' }, [422, 'forward.machine_invalid', 'machine']],
      [{ hostPort: 28_081, machine: 'far' }, [422, 'forward.machine_invalid', 'machine']],
      [{ hostPort: 28_081, machine: 'two' }, [422, 'forward.machine_invalid', 'interface']],
      [{ hostPort: 28_081, interface: 'eth7' }, [422, 'forward.machine_invalid', 'interface']],
    ];
    for (const [more, expected] of cases) expect(refusal(await add(more)), JSON.stringify(more)).to.deep.equal(expected);
    busy.close();
    expect(refusal(await add({ machine: 'far' }, 'lab'))).to.deep.equal([409, 'forward.unsupported']);
    expect(refusal(await add({}, 'none'))).to.deep.equal([404, 'network.not_found']);
    expect((await add({ protocol: 'udp' })).status).to.equal(201);
    expect((await add({ hostPort: 28_082, machine: 'two', interface: 'eth1' }, 'red', { 'if-match': 'W/"3"' })).status).to.equal(201);
    expect(refusal(await add({ hostPort: 28_083 }, 'red', { 'if-match': 'W/"3"' }))).to.deep.equal([412, 'precondition.failed']);
    const race = await Promise.all([1, 2, 3].map(() => add({ hostPort: 28_090 })));
    expect(race.map(({ status }) => status).sort()).to.deep.equal([201, 409, 409]);
    expect(await list()).to.have.length(4);
    const told = () => {
      const forwards = onHost().find(({ name }) => name === 'red')?.['forwards'] as { hostPort: number }[] | undefined;
      return (forwards ?? []).map(({ hostPort }) => hostPort).join();
    };
    expect(told()).to.equal('28080,28080,28082,28090');
    await flotilla.killHard();
    await flotilla.start();
    expect(await list()).to.have.length(4);
    const away = () => flotilla.call('DELETE', `/v1/networks/red/forwards/${made.body['id']}`);
    expect((await away()).status).to.equal(204);
    expect(refusal(await away())).to.deep.equal([404, 'forward.not_found']);
    expect(told()).to.equal('28080,28082,28090');
    await flotilla.change('DELETE', '/v1/machines/web?force=true');
    await flotilla.waitFor('the host forwards no more to who is gone', async () => told() === '28082');
    expect(await list()).to.have.length(1);
  });

  it('may be bridges of the host that were named for guests, and then machines on them are for administrators', async () => {
    await flotilla.stop();
    await flotilla.start({ FLOTILLA_MACVTAP_PARENTS: 'br0' });
    const lan = await define('lan', { kind: 'bridge', bridge: 'br0' });
    expect(lan.body).to.include({ kind: 'bridge', bridge: 'br0', state: 'pending', antiSpoofing: false }).and.not.to.have.property('ipv4');
    for (const name of ['one', 'two']) await flotilla.change('POST', '/v1/machines', on(name, 'lan'));
    const { observed } = (await flotilla.call('GET', '/v1/machines/two')).body;
    expect(observed?.['addresses']?.[0]).to.have.all.keys('interface', 'mac');
    expect(onHost()[0]).to.deep.equal({ id: lan.body['id'], name: 'lan', kind: 'bridge', hostBridge: 'br0' });
    expect((await get('lan'))['leases']).to.deep.equal([]);
    const mac = observed?.['addresses']?.[0]?.['mac'];
    expect(refusal(await flotilla.call('POST', '/v1/machines', { body: on('three', 'lan', { mac }) }))).to.deep.equal([
      409,
      'network.mac_taken',
      'interfaces[0].mac',
    ]);
    expect(refusal(await remove('lan'))).to.deep.equal([409, 'network.in_use']);
    expect(refusal(await flotilla.call('PATCH', '/v1/networks/lan', { body: { domain: 'x' } }))).to.deep.equal([
      422,
      'network.config_invalid',
      'domain',
    ]);
    const made = await flotilla.call('POST', '/v1/keys', { body: { name: 'op', role: 'operator' } });
    const refused = await flotilla.call('POST', '/v1/machines', { body: on('four', 'lan'), key: String(made.body['secret']) });
    expect(refusal(refused)).to.deep.equal([403, 'auth.forbidden', 'interfaces[0].network']);
    await define('other', { kind: 'bridge', bridge: 'br1' });
    const failed = await flotilla.call('POST', '/v1/machines', { body: on('five', 'other'), headers: { prefer: 'wait=30' } });
    expect(failed.body['error']?.['code']).to.equal('network.bridge_refused');
  });

  it('are for administrators to change, and for all to see', async () => {
    const made = await flotilla.call('POST', '/v1/keys', { body: { name: 'op', role: 'operator' } });
    const key = String(made.body['secret']);
    const refused = await flotilla.call('POST', '/v1/networks', { body: { name: 'no', kind: 'nat' }, key });
    expect(refusal(refused)).to.deep.equal([403, 'auth.forbidden']);
    expect(refused.body['detail']).to.contain('networks:write');
    expect((await flotilla.call('GET', '/v1/networks', { key })).status).to.equal(200);
  });
});
