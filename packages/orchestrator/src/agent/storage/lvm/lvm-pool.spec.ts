// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { ApiError } from '../../../common/api-error.js';
import type { PoolRefOf } from '../../../common/pool.js';
import { FakeVolumes, GROUP_FILE } from '../fake/fake-volumes.js';
import { type LogicalVolume, LvmRefused, type VolumeGroup } from './logical-volumes.js';
import { LvmPool } from './lvm-pool.js';

const EXTENT = 4096;
const thinRef: PoolRefOf<'lvm-thin'> = {
  ...{ id: 'poo-1', kind: 'lvm-thin', generation: 1, guardPercent: 10 },
  config: { volumeGroup: 'vg0', thinPool: 'tp' },
};
const thickRef: PoolRefOf<'lvm'> = { id: 'poo-2', kind: 'lvm', config: { volumeGroup: 'vg0' }, generation: 1, guardPercent: 10 };
const foreign: LogicalVolume = {
  name: 'foreign',
  sizeBytes: EXTENT,
  role: 'other',
  tags: ['x'],
  active: true,
  zeroes: false,
  health: 'well',
};
const thinPool: LogicalVolume = {
  ...{ name: 'tp', sizeBytes: 100 * EXTENT, role: 'thin-pool', tags: [], active: true, zeroes: true, health: 'well' },
  ...{ dataPercent: 20, metadataPercent: 30 },
};

describe('A pool of logical volumes', function () {
  this.timeout(120_000);
  let folder: string;
  let volumes: FakeVolumes;
  const at = (...names: string[]) => join(folder, ...names);
  const read = () => JSON.parse(readFileSync(at('vg0', GROUP_FILE), 'utf8')) as VolumeGroup;
  const write = (group: VolumeGroup) => writeFileSync(at('vg0', GROUP_FILE), JSON.stringify(group));
  const change = (name: string, more: Partial<LogicalVolume>) =>
    write({ ...read(), volumes: read().volumes.map((one) => (one.name === name ? { ...one, ...more } : one)) });
  const named = (name: string) => read().volumes.find((one) => one.name === name);
  const make = (ref: typeof thinRef | typeof thickRef = thinRef, rooted = false) => new LvmPool(ref, { volumes, native: false, rooted });
  const failure = (attempt: Promise<unknown>) =>
    attempt.then(
      () => undefined,
      (error: unknown) => [(error as ApiError).code, (error as ApiError).field].filter((one) => one !== undefined),
    );
  const image = (bytes: number) => {
    writeFileSync(at('image'), Buffer.alloc(bytes, 'image '));
    return { imageId: 'img-1', imagePath: at('image') };
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flotilla-lvm-'));
    mkdirSync(at('vg0'));
    volumes = new FakeVolumes(folder);
    write({
      ...{ name: 'vg0', sizeBytes: 300 * EXTENT, freeBytes: 100 * EXTENT, extentBytes: EXTENT, tags: ['theirs'] },
      volumes: [foreign, thinPool],
    });
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  for (const ref of [thinRef, thickRef]) {
    it(`of the kind ${ref.kind} is used, and gives the group back as it got it`, async () => {
      const before = read();
      const pool = make(ref);
      for (let turn = 0; turn < 2; turn += 1) await pool.make();
      await pool.open();
      expect(await pool.ensureVolume({ id: 'vol-1', ...image(5000) }, {})).to.deep.equal({ sizeBytes: 2 * EXTENT });
      expect(await pool.ensureVolume({ id: 'vol-1', ...image(5000) }, {}), 'once more').to.deep.equal({ sizeBytes: 2 * EXTENT });
      expect(await pool.ensureVolume({ id: 'vol-2', sizeBytes: 3 * EXTENT }, {})).to.deep.equal({ sizeBytes: 3 * EXTENT });
      expect(named('vol-1')?.tags).to.deep.equal(['flotilla', `flotilla.pool.${ref.id}`]);
      const content = Buffer.concat([Buffer.alloc(5000, 'image '), Buffer.alloc(2 * EXTENT - 5000)]);
      expect(readFileSync(at('vg0', 'vol-1')).equals(content), 'the image, and zeroes after it').to.equal(true);
      expect(
        readFileSync(at('vg0', 'vol-2')).every((byte) => byte === 0),
        'nothing of what others left',
      ).to.equal(true);
      expect(pool.diskFiles('vol-1', { format: 'raw' })).to.deep.equal({ path: at('vg0', 'vol-1'), format: 'raw', backing: [] });

      expect(await pool.growVolume({ id: 'vol-2', format: 'raw', sizeBytes: 3 * EXTENT + 1 })).to.deep.equal({ sizeBytes: 4 * EXTENT });
      expect(await pool.growVolume({ id: 'vol-2', format: 'raw', sizeBytes: 1 }), 'never smaller').to.deep.equal({ sizeBytes: 4 * EXTENT });
      expect(
        readFileSync(at('vg0', 'vol-2')).every((byte) => byte === 0),
        'in what is new neither',
      ).to.equal(true);
      expect(named('vol-2')?.tags).to.have.length(2);

      expect(await failure(pool.remove(false))).to.deep.equal(['pool.not_empty']);
      await pool.close(false);
      expect([named('vol-1')?.active, named('foreign')?.active]).to.deep.equal([false, true]);
      await pool.open();
      expect(named('vol-1')?.active).to.equal(true);
      for (const id of ['vol-1', 'vol-2', 'vol-3', 'foreign', 'tp']) await pool.removeVolume(id);
      await pool.remove(false);
      await pool.remove(false);
      expect(read()).to.deep.equal(before);
    });
  }

  it('is refused by the field that is at fault, and touches nothing', async () => {
    const before = read();
    const refused = (config: object, ref: typeof thinRef | typeof thickRef = thinRef) =>
      failure(make({ ...ref, config } as typeof ref).make());
    expect(await refused({ volumeGroup: 'none', thinPool: 'tp' })).to.deep.equal(['pool.place_invalid', 'lvmThin.volumeGroup']);
    expect(await refused({ volumeGroup: 'none' }, thickRef)).to.deep.equal(['pool.place_invalid', 'lvm.volumeGroup']);
    for (const name of ['none', 'foreign'])
      expect(await refused({ volumeGroup: 'vg0', thinPool: name })).to.deep.equal(['pool.place_invalid', 'lvmThin.thinPool']);
    expect(await failure(make(thinRef, true).make())).to.deep.equal(['pool.outside_roots', 'lvmThin']);
    volumes.look = () => Promise.reject(new LvmRefused('missing-program', 'the program vgs is not installed'));
    expect(await failure(make().make())).to.deep.equal(['pool.unavailable', 'lvmThin.volumeGroup']);
    expect(read()).to.deep.equal(before);
  });

  it('is refused where blocks are not zeroed, or another pool is', async () => {
    change('tp', { zeroes: false });
    expect(await failure(make().make())).to.deep.equal(['pool.place_invalid', 'lvmThin.thinPool']);
    change('tp', { zeroes: true, tags: ['flotilla', 'flotilla.pool.poo-9'] });
    expect(await failure(make().make())).to.deep.equal(['pool.place_taken', 'lvmThin.thinPool']);
    await make(thickRef).make(); // the rest of the group is another place
  });

  it('is unavailable when what is there is not what was defined', async () => {
    const pool = make();
    await pool.make();
    const before = read();
    change('tp', { tags: [] });
    expect(await failure(pool.open()), 'one of that name that was made anew').to.deep.equal(['pool.unavailable']);
    expect(await failure(pool.ensureVolume({ id: 'vol-1', sizeBytes: 1 }, {}))).to.deep.equal(['pool.unavailable']);
    write({ ...before, volumes: [foreign] });
    expect(await failure(pool.open())).to.deep.equal(['pool.unavailable']);
    write(before);
    change('tp', { health: 'failed' });
    expect(await failure(pool.open())).to.deep.equal(['pool.unavailable']);
    write(before);
    await pool.open();
    rmSync(at('vg0', GROUP_FILE));
    expect(await failure(pool.open())).to.deep.equal(['pool.unavailable']);
    expect(await failure(pool.close(false))).to.deep.equal(['pool.unavailable']);
    await pool.close(true);
  });

  it('keeps what its guard keeps, and makes nothing when metadata run out', async () => {
    const pool = make();
    await pool.make();
    expect(await pool.usage()).to.deep.equal({
      ...{ capacityBytes: 100 * EXTENT, allocatedBytes: 0, availableBytes: 70 * EXTENT, dataPercent: 20, metadataPercent: 30 },
    });
    const some = { id: 'vol-1', sizeBytes: 1000 * EXTENT };
    change('tp', { dataPercent: 90.01 });
    expect(await failure(pool.ensureVolume(some, {})), 'the guard').to.deep.equal(['pool.full']);
    change('tp', { dataPercent: 20, metadataPercent: 90 });
    expect((await pool.usage()).availableBytes).to.equal(0);
    expect(await failure(pool.ensureVolume(some, {})), 'metadata').to.deep.equal(['pool.full']);
    change('tp', { metadataPercent: 89.99 });
    expect(await failure(pool.ensureVolume({ id: 'vol-2', ...image(71 * EXTENT) }, {})), 'an image').to.deep.equal(['pool.full']);
    await pool.ensureVolume(some, {});
    change('tp', { dataPercent: 95 });
    expect(await failure(pool.growVolume({ id: 'vol-1', format: 'raw', sizeBytes: 1001 * EXTENT }))).to.deep.equal(['pool.full']);
    change('vol-1', { dataPercent: 0.5 });
    expect((await pool.usage()).allocatedBytes).to.equal(5 * EXTENT);

    const thick = make(thickRef);
    await thick.make();
    expect(await thick.usage()).to.deep.equal({ capacityBytes: 300 * EXTENT, allocatedBytes: 0, availableBytes: 70 * EXTENT });
    expect(await failure(thick.ensureVolume({ id: 'vol-9', sizeBytes: 71 * EXTENT }, {}))).to.deep.equal(['pool.full']);
    await thick.ensureVolume({ id: 'vol-9', sizeBytes: 70 * EXTENT }, {});
    expect(await thick.usage()).to.include({ allocatedBytes: 70 * EXTENT, availableBytes: 0 });
  });

  it('makes what was half made anew, and leaves volumes of others of that name alone', async () => {
    const pool = make(thickRef);
    await pool.make();
    volumes.tag = (
      (tag) => (of, how) =>
        of.volume === 'vol-1' ? Promise.reject(new Error('killed')) : tag.call(volumes, of, how)
    )(volumes.tag);
    const { remove } = volumes;
    volumes.remove = () => Promise.reject(new Error('killed'));
    expect(await failure(pool.ensureVolume({ id: 'vol-1', ...image(10) }, {}))).to.not.equal(undefined);
    expect(named('vol-1')?.tags).to.contain('flotilla.half-made');
    Object.assign(volumes, { tag: FakeVolumes.prototype.tag, remove });
    writeFileSync(at('vg0', 'vol-1'), Buffer.alloc(EXTENT, 'half'));
    await pool.ensureVolume({ id: 'vol-1', sizeBytes: EXTENT }, {});
    expect(readFileSync(at('vg0', 'vol-1')).every((byte) => byte === 0)).to.equal(true);

    await volumes.create({ group: 'vg0', name: 'vol-2', sizeBytes: EXTENT, tags: ['theirs'] });
    expect(await failure(pool.ensureVolume({ id: 'vol-2', sizeBytes: EXTENT }, {}))).to.deep.equal(['pool.place_taken']);
    expect(await failure(pool.growVolume({ id: 'vol-2', format: 'raw', sizeBytes: 9 * EXTENT }))).to.deep.equal(['pool.place_taken']);
    await pool.removeVolume('vol-2');
    expect(named('vol-2')?.tags).to.deep.equal(['theirs']);
    expect(await failure(pool.growVolume({ id: 'vol-3', format: 'raw', sizeBytes: EXTENT }))).to.deep.equal(['file.missing']);
  });

  it('leaves nothing of a volume whose making fails or is called off', async () => {
    const pool = make(thickRef);
    await pool.make();
    const stop = new AbortController();
    const control = { signal: stop.signal, onProgress: () => stop.abort(new Error('called off')) };
    const aborted = pool.ensureVolume({ id: 'vol-1', ...image(100) }, control).catch((error: unknown) => error);
    expect(await aborted).to.have.property('message', 'called off');
    expect([named('vol-1'), existsSync(at('vg0', 'vol-1'))]).to.deep.equal([undefined, false]);
    expect(await failure(pool.ensureVolume({ id: 'vol-1', imageId: 'img-1', imagePath: at('none') }, {}))).to.deep.equal(['file.missing']);
    for (const clone of ['linked', 'shared'] as const)
      expect(await failure(Promise.resolve().then(() => pool.ensureVolume({ id: 'vol-1', clone }, {})))).to.deep.equal([
        'pool.unsupported',
      ]);
  });

  it('has its thin pool active, which tells only then how full it is', async () => {
    await make().make();
    const { dataPercent: _unknown, ...asleep } = { ...thinPool, tags: named('tp')?.tags ?? [], active: false };
    write({ ...read(), volumes: [asleep] });
    await make().open();
    expect(named('tp')?.active).to.equal(true);
  });

  it('keeps a volume, as it is, that somebody has made snapshots of', async () => {
    const pool = make(thickRef);
    await pool.make();
    await pool.ensureVolume({ id: 'vol-1', ...image(EXTENT) }, {});
    change('vol-1', { hasSnapshots: true });
    const before = read();
    expect(await failure(pool.removeVolume('vol-1'))).to.deep.equal(['pool.in_use']);
    expect([read(), readFileSync(at('vg0', 'vol-1'), 'utf8').startsWith('image ')]).to.deep.equal([before, true]);
  });

  it('gives no machine a device that is another one', async () => {
    const pool = make();
    volumes.device = () => {
      throw new LvmRefused('misled', '/dev/vg0/vol-1 leads to the volume vg0-foreign');
    };
    const given = Promise.resolve().then(() => pool.diskFiles('vol-1', { format: 'raw' }));
    expect(await failure(given)).to.deep.equal(['pool.unavailable']);
  });

  it('wipes what a growth that was interrupted has added, before anybody uses it', async () => {
    const pool = make(thickRef);
    await pool.make();
    await pool.ensureVolume({ id: 'vol-1', ...image(EXTENT) }, {});
    const kept = readFileSync(at('vg0', 'vol-1'));
    await volumes.tag({ group: 'vg0', volume: 'vol-1' }, { add: [`flotilla.grows-from.${EXTENT}`] });
    await volumes.extend('vg0', 'vol-1', 2 * EXTENT);
    await make(thickRef).open();
    expect(readFileSync(at('vg0', 'vol-1')).equals(Buffer.concat([kept, Buffer.alloc(EXTENT)]))).to.equal(true);
    expect(named('vol-1')?.tags).to.have.length(2);
  });

  it('is collected: what is half made goes, what nobody owns is set aside, and goes in time', async () => {
    const pool = make();
    await pool.make();
    for (const id of ['vol-1', 'vol-2', 'vol-3', 'vol-4']) await pool.ensureVolume({ id, sizeBytes: 1 }, {});
    await volumes.tag({ group: 'vg0', volume: 'vol-3' }, { add: ['flotilla.half-made'] });
    await volumes.tag({ group: 'vg0', volume: 'vol-4' }, { add: ['flotilla.aside.1000'] });
    const owned = { volumes: new Set(['vol-1']) };
    expect(await pool.collect(owned)).to.deep.equal({ removed: ['vg0/vol-3', 'vg0/vol-4'], setAside: ['vg0/vol-2'], failed: [] });
    expect(await pool.collect(owned), 'once more').to.deep.equal({ removed: [], setAside: [], failed: [] });
    expect(named('vol-2')?.tags.some((tag) => /^flotilla\.aside\.\d{10}$/.test(tag))).to.equal(true);
    expect([named('foreign')?.name, named('vol-1')?.name]).to.deep.equal(['foreign', 'vol-1']);
    await pool.collect({ volumes: new Set(['vol-1', 'vol-2']) });
    expect(named('vol-2')?.tags, 'owned again').to.deep.equal(named('vol-1')?.tags);
    await pool.collect(owned);
    await pool.removeVolume('vol-1');
    expect(await failure(pool.remove(false)), 'what is set aside may be the only copy').to.deep.equal(['pool.not_empty']);
  });
});
