// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { onEachDatabase } from '../support/databases.js';
import { type Answer, type Body, machine, Orchestrator } from '../support/orchestrator.js';

const MEBIBYTE = 2 ** 20;
const MARK = '.flotilla-pool';

/** What tests of pools do again and again. */
class Pools {
  constructor(readonly flotilla: Orchestrator) {}

  /** A path beside the data directory. */
  at(...names: string[]): string {
    return join(this.flotilla.directory, ...names);
  }

  body(name: string, more: Record<string, unknown> = {}): Record<string, unknown> {
    return { name, kind: 'dir', dir: { path: this.at(name) }, ...more };
  }

  async define(name: string, more: Record<string, unknown> = {}): Promise<Body> {
    await this.flotilla.change('POST', '/v1/pools', this.body(name, more));
    return this.get(name);
  }

  async get(name: string): Promise<Body> {
    return (await this.flotilla.call('GET', `/v1/pools/${name}`)).body;
  }

  act(name: string, verb: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.flotilla.call('POST', `/v1/pools/${name}/${verb}`, { body: {}, headers: { prefer: 'wait=30', ...headers } });
  }

  remove(name: string, query = ''): Promise<Answer> {
    return this.flotilla.call('DELETE', `/v1/pools/${name}${query}`, { headers: { prefer: 'wait=30' } });
  }

  /** A machine with one disk in a pool. */
  async machine(name: string, pool: string, disk: Record<string, unknown> = {}): Promise<Body> {
    await this.flotilla.change(
      'POST',
      '/v1/machines',
      machine(name, { restartPolicy: { mode: 'never' }, disks: [{ name: 'root', image: 'd', pool, ...disk }] }),
    );
    return (await this.flotilla.call('GET', `/v1/machines/${name}`)).body;
  }

  async volumeOf(found: Body): Promise<Body> {
    return (await this.flotilla.call('GET', `/v1/volumes/${found['observed']?.['disks']?.[0]?.['volume']}`)).body;
  }

  /** Names in the directory of a pool, its folders opened; the mark is not among them. */
  files(name: string): string[] {
    return ['images', 'volumes'].flatMap((folder) => readdirSync(this.at(name, folder)).map((one) => `${folder}/${one.slice(0, 3)}`));
  }
}

const refusal = ({ status, body }: Answer) => [status, body['code'], body['field']].filter((one) => one !== undefined);
const failure = ({ body }: Answer) => [body['state'], body['error']?.['code'], body['error']?.['field']].filter((one) => one !== undefined);

onEachDatabase('storage pools', (makeDatabase) => {
  let flotilla: Orchestrator;
  let pools: Pools;

  beforeEach(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start();
    pools = new Pools(flotilla);
    await flotilla.importImages();
  });
  afterEach(() => flotilla.dispose());

  it('are one at first, which belongs to every installation and keeps its id', async () => {
    const before = await pools.get('default');
    expect(before).to.include({ kind: 'dir', state: 'ready', desired: 'started', autostart: true, guardPercent: 0, volumes: 0 });
    expect(before['capabilities']).to.include.members(['linkedClones', 'resize', 'qcow2', 'preallocation']);
    for (const verb of ['start', 'stop']) expect(refusal(await pools.act('default', verb))).to.deep.equal([409, 'pool.built_in']);
    expect(refusal(await pools.remove('default'))).to.deep.equal([409, 'pool.built_in']);
    expect((await pools.act('default', 'refresh')).body['state']).to.equal('succeeded');
    const fixed = await flotilla.call('PATCH', '/v1/pools/default', { body: { guardPercent: 10 } });
    expect(refusal(fixed)).to.deep.equal([409, 'pool.built_in', 'guardPercent']);
    await flotilla.killHard();
    await flotilla.start();
    expect((await pools.get('default'))['id']).to.equal(before['id']);
  });

  it('are defined, used for machines and volumes, stopped, started and deleted', async () => {
    const pool = await pools.define('fast');
    expect(pool).to.include({ state: 'ready', desired: 'started', autostart: true, guardPercent: 5, guarded: false, volumes: 0 });
    expect([pool['dir'], pool['generation']]).to.deep.equal([{ path: pools.at('fast') }, 1]);
    expect(Number(pool['availableBytes'])).to.be.within(1, Number(pool['capacityBytes']));
    expect(statSync(pools.at('fast')).mode & 0o777).to.equal(0o700);

    const made = await pools.machine('m', 'fast', { sizeMiB: 2 });
    const volume = await pools.volumeOf(made);
    const path = pools.at('fast', 'volumes', String(volume['id']));
    expect([made['spec']?.['disks']?.[0]?.['pool'], volume['pool'], volume['sizeBytes']]).to.deep.equal(['fast', 'fast', 2 * MEBIBYTE]);
    expect(flotilla.guest(String(made['id'])).spec.disks[0]).to.include({ path, format: 'raw' });
    expect(
      readFileSync(path)
        .subarray(0, 64 * 1024)
        .equals(Buffer.alloc(64 * 1024, 7)),
    ).to.equal(true);
    expect(await pools.get('fast')).to.include({ volumes: 1, promisedBytes: 2 * MEBIBYTE });
    expect(
      flotilla.leftovers().filter((one) => one.startsWith('vol-')),
      'in the other pool',
    ).to.deep.equal([]);

    expect((await flotilla.call('PATCH', `/v1/volumes/${volume['id']}`, { body: { sizeMiB: 3 } })).body['sizeBytes']).to.equal(
      3 * MEBIBYTE,
    );
    expect(statSync(path).size).to.equal(3 * MEBIBYTE);
    const busy = await pools.act('fast', 'stop');
    expect(refusal(busy)).to.deep.equal([409, 'pool.in_use']);
    expect(busy.body['detail']).to.contain('"m"');
    const held = await pools.remove('fast');
    expect(refusal(held)).to.deep.equal([409, 'pool.not_empty']);
    expect(held.body['detail']).to.contain('"m-root"');

    await flotilla.change('POST', '/v1/machines/m/kill', {});
    expect((await pools.act('fast', 'stop')).body['state']).to.equal('succeeded');
    expect(await pools.get('fast')).to.include({ state: 'stopped', desired: 'stopped', capacityBytes: 0, volumes: 1 });
    for (const [method, target, body] of [
      ['POST', '/v1/machines/m/start', {}],
      ['DELETE', '/v1/machines/m', undefined],
      ['PATCH', `/v1/volumes/${volume['id']}`, { sizeMiB: 4 }],
    ] as const)
      expect(refusal(await flotilla.call(method, target, { ...(body === undefined ? {} : { body }) }))[1], target).to.equal(
        'pool.not_started',
      );
    const other = await flotilla.call('POST', '/v1/machines', { body: machine('n', { disks: [{ name: 'a', sizeMiB: 1, pool: 'fast' }] }) });
    expect(refusal(other)).to.deep.equal([409, 'pool.not_started', 'disks[0].pool']);

    expect((await pools.act('fast', 'start')).body['state']).to.equal('succeeded');
    await flotilla.change('POST', '/v1/machines/m/start', {});
    await flotilla.change('DELETE', '/v1/machines/m?force=true');
    expect(existsSync(path)).to.equal(false);
    expect((await pools.remove('fast')).body['state']).to.equal('succeeded');
    expect([(await pools.act('fast', 'start')).body['code'], existsSync(pools.at('fast'))]).to.deep.equal(['pool.not_found', false]);
    expect(flotilla.leftovers().filter((one) => !one.startsWith('networks/'))).to.deep.equal([]);
  });

  it('have their own copy of an image that volumes there are linked to, until the image is gone', async () => {
    await pools.define('fast');
    const image = String((await flotilla.call('GET', '/v1/images/d')).body['id']);
    const [one] = await Promise.all([
      pools.machine('one', 'fast', { clone: 'linked', sizeMiB: 4 }),
      pools.machine('two', 'fast', { clone: 'linked' }),
    ]);
    const volume = await pools.volumeOf(one);
    expect(volume).to.include({ format: 'qcow2', backingImage: image, pool: 'fast', sizeBytes: 4 * MEBIBYTE });
    expect(flotilla.guest(String(one['id'])).spec.disks[0]?.backing).to.deep.equal([
      { path: pools.at('fast', 'images', image), format: 'raw', name: `../images/${image}` },
    ]);
    expect(pools.files('fast').sort()).to.deep.equal(['images/img', 'volumes/vol', 'volumes/vol']);
    expect((await flotilla.call('DELETE', '/v1/images/d')).body['code']).to.equal('image.in_use');
    for (const name of ['one', 'two']) await flotilla.change('DELETE', `/v1/machines/${name}?force=true`);
    await flotilla.change('DELETE', '/v1/images/d');
    await flotilla.waitFor('the copy is gone', async () => pools.files('fast').length === 0);
    expect(existsSync(pools.at('fast', 'set-aside'))).to.equal(false);
  });

  it('refuse disks that cannot be there', async () => {
    await pools.define('fast');
    const asked = async (disk: Record<string, unknown>) =>
      refusal(await flotilla.call('POST', '/v1/machines', { body: machine('no', { disks: [{ name: 'root', ...disk }] }) }));
    expect(await asked({ sizeMiB: 1, pool: 'none' })).to.deep.equal([422, 'pool.not_found', 'disks[0].pool']);
    expect(await asked({ volume: 'vol-1', pool: 'fast' })).to.deep.equal([422, 'spec.disk_invalid', 'disks[0].pool']);
    expect(await asked({ image: 'd', clone: 'shared', readOnly: true, pool: 'fast' })).to.deep.equal([
      422,
      'spec.disk_invalid',
      'disks[0].pool',
    ]);
    expect((await flotilla.call('GET', '/v1/volumes')).body['items']).to.have.length(0);
  });

  it('are refused when their definition is wrong, by the field', async () => {
    const ask = async (more: Record<string, unknown>) => {
      const answer = await flotilla.call('POST', '/v1/pools', { body: pools.body('bad', more), headers: { prefer: 'wait=30' } });
      return answer.status < 300 ? failure(answer) : refusal(answer);
    };
    expect(await ask({ dir: undefined })).to.deep.equal([422, 'pool.config_invalid', 'dir']);
    expect(await ask({ dir: { path: '/srv/x', mode: 7 } })).to.deep.equal([422, 'request.unknown_field', 'dir.mode']);
    expect(await ask({ kind: 'tape' })).to.deep.equal([422, 'request.invalid_value', 'kind']);
    for (const path of ['srv', '/', '/srv/../etc', '/srv/./x', '/srv//x', '/srv/x\n'])
      expect(await ask({ dir: { path } }), path).to.deep.equal([422, 'pool.config_invalid', 'dir.path']);
    expect(await ask({ guardPercent: 51 })).to.deep.equal([422, 'request.invalid_value', 'guardPercent']);
    expect(await ask({ overcommitRatio: 0 })).to.deep.equal([422, 'request.invalid_value', 'overcommitRatio']);
    expect(await ask({ name: 'default' })).to.deep.equal([409, 'pool.name_taken', 'name']);
    expect(await ask({ dir: { path: pools.at('none', 'deeper') } })).to.deep.equal(['failed', 'pool.place_invalid', 'dir.path']);
    expect((await flotilla.call('GET', '/v1/pools')).body['items']).to.have.length(1);
  });

  it('take no directory in which something is, and leave it as it was', async () => {
    await pools.define('fast');
    mkdirSync(pools.at('full', 'images'), { recursive: true });
    writeFileSync(pools.at('full', 'images', 'mine.partial'), 'mine');
    mkdirSync(pools.at('empty'));
    symlinkSync(pools.at('empty'), pools.at('link'));
    writeFileSync(pools.at('file'), '');
    const ask = async (path: string) =>
      failure(await flotilla.call('POST', '/v1/pools', { body: pools.body('bad', { dir: { path } }), headers: { prefer: 'wait=30' } }));
    for (const [path, code] of [
      [pools.at('full'), 'pool.place_taken'],
      [pools.at('fast'), 'pool.place_taken'],
      [pools.at('fast', 'below'), 'pool.place_taken'],
      [pools.at('fast', 'volumes', 'below'), 'pool.place_taken'],
      [pools.at('data', 'below'), 'pool.place_taken'],
      [pools.at('data', 'host', 'pools', 'below'), 'pool.place_taken'],
      [pools.at('link'), 'pool.place_invalid'],
      [pools.at('file'), 'pool.place_invalid'],
    ] as const)
      expect(await ask(path), path).to.deep.equal(['failed', code, 'dir.path']);
    expect(readFileSync(pools.at('full', 'images', 'mine.partial'), 'utf8')).to.equal('mine');
    expect([readdirSync(pools.at('full')), readdirSync(pools.at('empty'))]).to.deep.equal([['images'], []]);
    expect(readdirSync(pools.at('fast')).sort()).to.deep.equal([MARK, 'images', 'volumes']);
  });

  it('that are defined at once in one place, or one in the other, are one', async () => {
    mkdirSync(pools.at('given'));
    const ask = (name: string, path: string) =>
      flotilla.call('POST', '/v1/pools', { body: pools.body(name, { dir: { path } }), headers: { prefer: 'wait=30' } });
    for (const paths of [
      ['same', 'same', 'same'],
      ['given', 'given', 'given'],
      ['given', 'given/below'],
    ]) {
      const answers = await Promise.all(paths.map((path, index) => ask(`p${index}`, pools.at(path))));
      const refused = paths.slice(1).map(() => ['failed', 'pool.place_taken', 'dir.path']);
      expect(answers.map(failure).sort(), paths.join()).to.deep.equal([...refused, ['succeeded']]);
      const winner = answers.findIndex(({ body }) => String(body['state']) === 'succeeded');
      expect(await pools.get(`p${winner}`)).to.include({ state: 'ready' });
      await flotilla.change('DELETE', `/v1/pools/p${winner}`);
      expect(readdirSync(pools.at('given')), paths.join()).to.deep.equal([]);
    }
    expect(existsSync(pools.at('same'))).to.equal(false);
  });

  it('give an empty directory back as they got it', async () => {
    mkdirSync(pools.at('given', 'lost+found'), { recursive: true });
    await pools.define('given');
    expect(readdirSync(pools.at('given')).sort()).to.deep.equal([MARK, 'images', 'lost+found', 'volumes']);
    expect((await pools.remove('given')).body['state']).to.equal('succeeded');
    expect(readdirSync(pools.at('given'))).to.deep.equal(['lost+found']);
  });

  it('whose directory is gone are unavailable, are written to by nobody, and come back with it', async () => {
    await pools.define('fast');
    const made = await pools.machine('m', 'fast');
    await flotilla.change('POST', '/v1/machines/m/kill', {});
    renameSync(pools.at('fast'), pools.at('away'));
    mkdirSync(pools.at('fast')); // what an unmounted file system leaves
    const seen = await flotilla.waitFor<Body>('it is seen', async () => {
      const pool = await pools.get('fast');
      return String(pool['state']) === 'unavailable' ? pool : undefined;
    });
    expect(seen).to.include({ desired: 'started', capacityBytes: 0 });
    expect(seen['reason']).to.include({ code: 'pool.unavailable' });
    expect(seen['reason']?.['detail']).to.contain(MARK);
    const disks = [{ name: 'a', sizeMiB: 1, pool: 'fast' }];
    const refused = await flotilla.call('POST', '/v1/machines', { body: machine('n', { disks }), headers: { prefer: 'wait=30' } });
    expect(failure(refused)).to.deep.equal(['failed', 'pool.unavailable']);
    const start = await flotilla.call('POST', '/v1/machines/m/start', { body: {}, headers: { prefer: 'wait=30' } });
    expect(failure(start)).to.deep.equal(['failed', 'pool.unavailable']);
    expect(failure(await pools.act('fast', 'refresh'))).to.deep.equal(['failed', 'pool.unavailable']);
    expect(readdirSync(pools.at('fast'))).to.deep.equal([]);
    rmSync(pools.at('fast'), { recursive: true });
    renameSync(pools.at('away'), pools.at('fast'));
    expect((await pools.act('fast', 'refresh')).body['state']).to.equal('succeeded');
    expect(await pools.get('fast'))
      .to.include({ state: 'ready' })
      .and.not.have.property('reason');
    await flotilla.change('POST', '/v1/machines/m/start', {});
    expect(flotilla.guest(String(made['id'])).spec.disks[0]?.path).to.contain(pools.at('fast'));
  });

  it('whose storage does not answer keep nobody else', async () => {
    await pools.define('fast');
    const mark = pools.at('fast', MARK);
    rmSync(mark);
    execFileSync('mkfifo', [mark]); // whoever opens it waits for somebody to write
    try {
      const looks = await Promise.all(Array.from({ length: 8 }, () => pools.get('fast')));
      for (const pool of looks) expect([pool['state'], pool['reason']?.['code']]).to.deep.equal(['unavailable', 'pool.unavailable']);
      expect(looks[0]?.['reason']?.['detail']).to.contain('does not answer');
      await pools.machine('m', 'default');
      const forced = await pools.remove('fast', '?force=true');
      expect([forced.body['state'], readdirSync(pools.at('fast')).sort()]).to.deep.equal(['succeeded', [MARK, 'images', 'volumes']]);
    } finally {
      closeSync(openSync(mark, constants.O_RDWR | constants.O_NONBLOCK));
    }
  });

  it('that cannot be reached are deleted by force alone', async () => {
    await pools.define('fast');
    renameSync(pools.at('fast'), pools.at('away'));
    expect(failure(await pools.remove('fast'))).to.deep.equal(['failed', 'pool.unavailable']);
    expect(await pools.get('fast')).to.include({ state: 'stopped', desired: 'stopped' });
    expect((await pools.remove('fast', '?force=true')).body['state']).to.equal('succeeded');
    expect(readdirSync(pools.at('away')).sort()).to.deep.equal([MARK, 'images', 'volumes']);
  });

  it('that cannot be reached keep no machine from being deleted by force, and have its disk when they are back', async () => {
    await pools.define('fast');
    await pools.define('dead');
    for (const name of ['fast', 'dead']) {
      await pools.machine(`on-${name}`, name);
      await flotilla.change('POST', `/v1/machines/on-${name}/kill`, {});
      renameSync(pools.at(name), pools.at(`${name}-away`));
      const gentle = await flotilla.call('DELETE', `/v1/machines/on-${name}`, { headers: { prefer: 'wait=30' } });
      expect(failure(gentle)).to.deep.equal(['failed', 'pool.unavailable']);
      await flotilla.change('DELETE', `/v1/machines/on-${name}?force=true`);
    }
    expect((await flotilla.call('GET', '/v1/volumes')).body['items']).to.have.length(0);
    expect((await pools.remove('dead', '?force=true')).body['state']).to.equal('succeeded');
    renameSync(pools.at('fast-away'), pools.at('fast'));
    await flotilla.waitFor('nobody owns it', async () => existsSync(pools.at('fast', 'set-aside')) && pools.files('fast').length === 0);
  });

  it('are not deleted while something is in them that nobody knows', async () => {
    await pools.define('fast');
    writeFileSync(pools.at('fast', 'volumes', 'vol-lost'), 'the only copy');
    await flotilla.waitFor('it is set aside', async () => pools.files('fast').length === 0);
    expect(failure(await pools.remove('fast'))).to.deep.equal(['failed', 'pool.not_empty']);
    expect(await pools.get('fast')).to.include({ state: 'stopped' });
    rmSync(pools.at('fast', 'set-aside'), { recursive: true });
    expect((await pools.remove('fast')).body['state']).to.equal('succeeded');
    expect(existsSync(pools.at('fast'))).to.equal(false);
  });

  it('promise no more than their ratio allows, also when many ask at once', async () => {
    const pool = await pools.define('fast', { guardPercent: 0 });
    const capacity = Number(pool['capacityBytes']);
    const ratio = (2.5 * MEBIBYTE) / capacity;
    expect((await flotilla.call('PATCH', '/v1/pools/fast', { body: { overcommitRatio: Math.max(ratio, 0.001) } })).status).to.equal(200);
    const allowed = Math.floor((capacity * Math.max(ratio, 0.001)) / MEBIBYTE);
    const half = Math.floor(allowed / 2) + 1;
    const disks = [{ name: 'a', sizeMiB: half, pool: 'fast' }];
    const answers = await Promise.all(
      ['x', 'y', 'z'].map((name) =>
        flotilla.call('POST', '/v1/machines', { body: machine(name, { disks, start: false }), headers: { prefer: 'wait=30' } }),
      ),
    );
    expect(answers.filter(({ status }) => status === 200)).to.have.length(1);
    const refused = answers.filter(({ status }) => status !== 200).map(refusal);
    expect(refused).to.deep.equal(Array(2).fill([507, 'pool.overcommitted', 'disks[0].sizeMiB']));
    const listed: Body[] = [...((await flotilla.call('GET', '/v1/volumes')).body['items'] ?? [])];
    const [volume] = listed;
    const grow = await flotilla.call('PATCH', `/v1/volumes/${volume?.['id']}`, { body: { sizeMiB: allowed + 1 } });
    expect(refusal(grow)).to.deep.equal([507, 'pool.overcommitted', 'sizeMiB']);
    expect((await flotilla.call('PATCH', `/v1/volumes/${volume?.['id']}`, { body: { sizeMiB: allowed } })).status).to.equal(200);
    const unbounded = await flotilla.call('PATCH', '/v1/pools/fast', { body: { overcommitRatio: null } });
    expect(unbounded.status).to.equal(200);
    expect(unbounded.body).not.to.have.property('overcommitRatio');
  });

  it('change with their generation, and tell of it', async () => {
    await pools.define('fast');
    const before = await flotilla.call('GET', '/v1/pools/fast');
    expect(before.headers.get('etag')).to.equal('W/"1"');
    const changed = await flotilla.call('PATCH', '/v1/pools/fast', {
      body: { autostart: false, guardPercent: 1, overcommitRatio: 1.5 },
      headers: { 'if-match': 'W/"1"' },
    });
    expect(changed.body).to.include({ autostart: false, guardPercent: 1, overcommitRatio: 1.5, generation: 2 });
    expect(refusal(await pools.act('fast', 'stop', { 'if-match': 'W/"1"' }))).to.deep.equal([412, 'precondition.failed']);
    expect((await pools.act('fast', 'stop', { 'if-match': 'W/"2"' })).body['state']).to.equal('succeeded');
    expect(refusal(await pools.act('fast', 'stop'))).to.deep.equal([409, 'pool.state_conflict']);
    expect(refusal(await pools.act('fast', 'refresh'))).to.deep.equal([409, 'pool.state_conflict']);
    const id = String(before.body['id']);
    const kinds = await eventsOf(flotilla, id);
    expect(kinds).to.deep.equal([
      ['pool.created', 'creating'],
      ['pool.state', 'ready'],
      ['pool.updated', undefined],
      ['pool.state', 'stopped'],
    ]);
  });

  it('stay as they were asked to be through a restart of the orchestrator', async () => {
    await pools.define('on');
    await pools.define('off', { start: false });
    expect(await pools.get('off')).to.include({ state: 'stopped', desired: 'stopped', autostart: true });
    await flotilla.killHard();
    await flotilla.start();
    expect((await pools.get('on'))['state']).to.equal('ready');
    expect((await pools.get('off'))['state']).to.equal('stopped');
  });

  it('are for administrators', async () => {
    const made = await flotilla.call('POST', '/v1/keys', { body: { name: 'op', role: 'operator' } });
    const refused = await flotilla.call('POST', '/v1/pools', { body: pools.body('no'), key: String(made.body['secret']) });
    expect(refusal(refused)).to.deep.equal([403, 'auth.forbidden']);
    expect(refused.body['detail']).to.contain('pools:write');
  });
});

describe('a storage pool on a small file system', () => {
  const flotilla = new Orchestrator();
  const pools = new Pools(flotilla);
  const mountPoint = pools.at('small');
  const mount = () => execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'flotilla-test', mountPoint]);
  let mounted = false;

  before(async function () {
    if (process.getuid?.() !== 0) {
      console.log('SKIPPED: mounting needs root');
      this.skip();
    }
    mkdirSync(mountPoint);
    mount();
    mounted = true;
    await flotilla.start();
    await flotilla.importImages();
  });
  after(async () => {
    await flotilla.stop();
    if (mounted) execFileSync('umount', [mountPoint]);
    await flotilla.dispose();
  });

  it('makes and grows nothing below its guard, and says so, until there is room again', async () => {
    const pool = await pools.define('small', { guardPercent: 25 });
    expect([pool['capacityBytes'], Number(pool['availableBytes']) <= 12 * MEBIBYTE]).to.deep.equal([16 * MEBIBYTE, true]);
    const volume = await pools.volumeOf(await pools.machine('m', 'small'));
    const guarded = (expected: boolean) => flotilla.waitFor('it is seen', async () => (await pools.get('small'))['guarded'] === expected);
    writeFileSync(join(mountPoint, 'filler'), Buffer.alloc(13 * MEBIBYTE, 1));
    await guarded(true);
    for (const disk of [{ sizeMiB: 1 }, { image: 'd' }, { image: 'd', clone: 'linked' }]) {
      const disks = [{ name: 'a', pool: 'small', ...disk }];
      const refused = await flotilla.call('POST', '/v1/machines', { body: machine('n', { disks }), headers: { prefer: 'wait=30' } });
      expect(failure(refused).slice(0, 2)).to.deep.equal(['failed', 'pool.full']);
      expect(refused.body['error']?.['detail']).to.contain('guard');
    }
    const grow = () => flotilla.call('PATCH', `/v1/volumes/${volume['id']}`, { body: { sizeMiB: 2 } });
    expect(refusal(await grow())).to.deep.equal([507, 'pool.full', 'sizeMiB']);
    rmSync(join(mountPoint, 'filler'));
    await guarded(false);
    expect((await grow()).status).to.equal(200);
    await flotilla.change('DELETE', '/v1/machines/m?force=true');
  });

  it('is not written to while that is not mounted', async () => {
    execFileSync('umount', [mountPoint]);
    mounted = false;
    await flotilla.waitFor('it is seen', async () => (await pools.get('small'))['state'] === 'unavailable');
    expect(readdirSync(mountPoint)).to.deep.equal([]);
    mount(); // another one, which nobody has made a pool of
    mounted = true;
    expect(failure(await pools.act('small', 'refresh'))).to.deep.equal(['failed', 'pool.unavailable']);
    expect(readdirSync(mountPoint)).to.deep.equal([]);
  });
});

describe('storage pools below roots', () => {
  const flotilla = new Orchestrator();
  const pools = new Pools(flotilla);

  after(() => flotilla.dispose());

  it('are nowhere else', async () => {
    mkdirSync(pools.at('open'));
    mkdirSync(pools.at('closed'));
    symlinkSync(pools.at('closed'), pools.at('open', 'out'));
    await flotilla.start({ FLOTILLA_POOL_ROOTS: pools.at('open') });
    const ask = async (path: string) =>
      failure(await flotilla.call('POST', '/v1/pools', { body: pools.body('p', { dir: { path } }), headers: { prefer: 'wait=30' } }));
    for (const path of [pools.at('closed', 'p'), pools.at('open', 'out', 'p'), pools.at('open-beside'), pools.at('none', 'p')])
      expect(await ask(path), path).to.deep.equal(['failed', 'pool.outside_roots', 'dir.path']);
    expect(await ask(pools.at('open', 'p'))).to.deep.equal(['succeeded']);
  });
});

describe('kill -9 at every step of what is done to a pool', () => {
  let flotilla: Orchestrator;
  let pools: Pools;

  beforeEach(async () => {
    flotilla = await new Orchestrator().start();
    pools = new Pools(flotilla);
  });
  afterEach(() => flotilla.dispose());

  const points = (kind: string, steps: string[]) => [
    'operation.accept',
    ...steps.flatMap((step) => [`${kind}.${step}.begin`, `${kind}.${step}`]),
    `${kind}.end`,
  ];
  /** Dies at a point of what is asked for, and goes on. */
  const dieAt = async (point: string, asking: () => Promise<unknown>) => {
    await flotilla.stop();
    await flotilla.start({ FLOTILLA_FAULT: point });
    await asking().catch(() => undefined);
    await flotilla.died();
    await flotilla.start();
    await flotilla.waitFor(`the end of what was interrupted at ${point}`, async () => {
      const items = [...((await flotilla.call('GET', '/v1/operations?limit=200')).body['items'] ?? [])];
      return items.every((one) => !['pending', 'running'].includes(String(one['state'])));
    });
  };
  const whole = [MARK, 'images', 'volumes'];
  /** What is beside the data of the orchestrator: pools, and what is half made of them. */
  const beside = () => readdirSync(flotilla.directory).filter((name) => name !== 'data' && name !== 'run');

  /** Each verb with its steps, and the state it leaves. */
  const verbs: [verb: string, steps: string[], state: string | undefined][] = [
    ['define', ['make', 'open'], 'ready'],
    ['refresh', ['open'], 'ready'],
    ['stop', ['close'], 'stopped'],
    ['start', ['open'], 'ready'],
    ['delete', ['open', 'close', 'remove'], undefined],
  ];
  const ask = (verb: string) => {
    if (verb === 'define') return flotilla.call('POST', '/v1/pools', { body: pools.body('fast') });
    return verb === 'delete' ? flotilla.call('DELETE', '/v1/pools/fast') : flotilla.call('POST', `/v1/pools/fast/${verb}`, { body: {} });
  };
  /** Brings the pool to where a verb can be asked for. */
  const prepare = async (verb: string) => {
    const { status, body } = await flotilla.call('GET', '/v1/pools/fast');
    if (status !== 200) return verb === 'define' ? undefined : pools.define('fast', { start: verb !== 'start' });
    if (verb === 'define') return flotilla.change('DELETE', '/v1/pools/fast');
    const wanted = verb === 'start' ? 'stopped' : 'ready';
    if (String(body['state']) === wanted) return undefined;
    return flotilla.change('POST', `/v1/pools/fast/${wanted === 'ready' ? 'start' : 'stop'}`, {});
  };

  for (const [verb, steps, state] of verbs) {
    it(`${verb}: leaves it whole or not there, and in the state that was asked for`, async function () {
      this.timeout(180_000);
      for (const point of points(`pool.${verb}`, steps)) {
        await prepare(verb);
        await dieAt(point, () => ask(verb));
        const found = await flotilla.call('GET', '/v1/pools/fast');
        expect(found.status === 200 ? String(found.body['state']) : undefined, point).to.equal(state);
        expect(beside(), point).to.deep.equal(state === undefined ? [] : ['fast']);
        if (state !== undefined) expect(readdirSync(pools.at('fast')).sort(), point).to.deep.equal(whole);
      }
    });
  }

  it('takes a definition that fails back, and nothing of it is left', async function () {
    this.timeout(120_000);
    mkdirSync(pools.at('taken'));
    writeFileSync(pools.at('taken', 'mine'), 'mine');
    for (const point of ['pool.define.make.begin', 'pool.define.undo-make', 'pool.define.end']) {
      await dieAt(point, () => flotilla.call('POST', '/v1/pools', { body: pools.body('taken') }));
      expect((await flotilla.call('GET', '/v1/pools/taken')).status, point).to.equal(404);
      expect([beside(), readdirSync(pools.at('taken'))], point).to.deep.equal([['taken'], ['mine']]);
    }
  });
});

/** Kinds and states of the events of a pool so far. */
async function eventsOf(flotilla: Orchestrator, target: string): Promise<[string, string | undefined][]> {
  const stop = new AbortController();
  const response = await fetch(`${flotilla.url}/v1/events?after=0&target=${target}`, {
    headers: { authorization: `Bearer ${flotilla.key}` },
    signal: stop.signal,
  });
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    if (text.includes('"stopped"')) break;
  }
  stop.abort();
  const found = [...text.matchAll(/^data: ?(\{.*\})$/gm)].map(
    (match) => JSON.parse(match[1] ?? '') as { kind: string; data: { state?: string } },
  );
  return found.map(({ kind, data }) => [kind, data.state]);
}
