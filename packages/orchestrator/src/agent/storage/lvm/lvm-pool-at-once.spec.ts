// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { FakeVolumes, GROUP_FILE } from '../fake/fake-volumes.js';
import type { VolumeGroup } from './logical-volumes.js';
import { LvmPool } from './lvm-pool.js';
import { growthTag, HALF_MADE } from './tags.js';

const EXTENT = 4096;
const ref = { id: 'poo-1', kind: 'lvm', config: { volumeGroup: 'vg0' }, generation: 1, guardPercent: 0 } as const;

describe('Volumes of a pool, what is done to them at once', function () {
  this.timeout(120_000);
  let folder: string;
  let volumes: FakeVolumes;
  let pool: LvmPool;
  const tags = (volume: string, change: { add?: string[]; remove?: string[] }) => volumes.tag({ group: 'vg0', volume }, change);
  const content = (id: string) => readFileSync(volumes.device('vg0', id));
  const names = async () => (await volumes.look('vg0')).volumes.map(({ name }) => name);
  /** Does something before a method that it has does its work, once. */
  const before = (method: 'remove' | 'activate', act: () => Promise<unknown>) => {
    volumes[method] = async (group: string, names: string & string[]) => {
      Object.assign(volumes, { [method]: FakeVolumes.prototype[method] });
      await act();
      await volumes[method](group, names);
    };
  };

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'flotilla-lvm-'));
    mkdirSync(join(folder, 'vg0'));
    const group: VolumeGroup = {
      ...{ name: 'vg0', sizeBytes: 300 * EXTENT, freeBytes: 100 * EXTENT, extentBytes: EXTENT },
      ...{ tags: [], volumes: [] },
    };
    writeFileSync(join(folder, 'vg0', GROUP_FILE), JSON.stringify(group));
    volumes = new FakeVolumes(folder);
    pool = new LvmPool(ref, { volumes, native: false, rooted: false });
    await pool.make();
    for (const id of ['vol-1', 'vol-2']) await pool.ensureVolume({ id, sizeBytes: EXTENT }, {});
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('keeps a volume that was half made when its collection began, and is whole when that comes to it', async () => {
    for (const id of ['vol-1', 'vol-2']) await tags(id, { add: [HALF_MADE] });
    before('remove', () => pool.ensureVolume({ id: 'vol-2', sizeBytes: EXTENT }, {}));
    expect(await pool.collect({ volumes: new Set(['vol-2']) })).to.deep.equal({ removed: ['vg0/vol-1'], setAside: [], failed: [] });
    expect(await names()).to.deep.equal(['vol-2']);
  });

  it('is collected without waiting for one that takes long, of which the next collection tells', async () => {
    for (const id of ['vol-1', 'vol-2']) await tags(id, { add: [HALF_MADE] });
    let end: () => void = () => undefined;
    const long = new Promise<void>((resolve) => {
      end = resolve;
    });
    before('remove', () => long);
    const impatient = new LvmPool(ref, { volumes, native: false, rooted: false }, 2_000);
    const first = await impatient.collect({ volumes: new Set() });
    expect([...first.removed, ...first.failed]).to.not.include('vg0/vol-1');
    end();
    await impatient.removeVolume('vol-1'); // in turn with its collection
    expect((await impatient.collect({ volumes: new Set() })).removed).to.include('vg0/vol-1');
    expect(await names()).to.deep.equal([]);
  });

  it('keeps what a guest wrote to the end of a volume that grew while the pool was opened', async () => {
    await tags('vol-1', { add: [growthTag(0)] });
    await volumes.deactivate('vg0', ['vol-2']);
    before('activate', async () => {
      await tags('vol-1', { remove: [growthTag(0)] });
      writeFileSync(volumes.device('vg0', 'vol-1'), Buffer.alloc(EXTENT, 'guest'));
    });
    await pool.open();
    expect(content('vol-1').equals(Buffer.alloc(EXTENT, 'guest'))).to.equal(true);
  });

  it('shows no guest what a growth that failed has added, when it is asked for again', async () => {
    const { tag } = volumes;
    volumes.tag = (of, change) => (change.remove === undefined ? tag.call(volumes, of, change) : Promise.reject(new Error('killed')));
    expect(await pool.growVolume({ id: 'vol-1', format: 'raw', sizeBytes: 2 * EXTENT }).catch(String)).to.contain('killed');
    volumes.tag = tag;
    writeFileSync(volumes.device('vg0', 'vol-1'), Buffer.alloc(2 * EXTENT, 'left'));
    await pool.growVolume({ id: 'vol-1', format: 'raw', sizeBytes: 2 * EXTENT });
    expect(content('vol-1').equals(Buffer.concat([Buffer.alloc(EXTENT, 'left'), Buffer.alloc(EXTENT)]))).to.equal(true);
    expect((await volumes.look('vg0')).volumes[0]?.tags).to.deep.equal(['flotilla', 'flotilla.pool.poo-1']);
  });

  it('makes a volume anew in the space of what was half made of it', async () => {
    const large = { id: 'vol-3', sizeBytes: 60 * EXTENT };
    await pool.ensureVolume(large, {});
    await tags('vol-3', { add: [HALF_MADE] });
    expect(await pool.ensureVolume(large, {})).to.deep.equal({ sizeBytes: 60 * EXTENT });
  });

  it('makes a volume once that is asked for twice', async () => {
    const both = await Promise.all([1, 2].map(() => pool.ensureVolume({ id: 'vol-3', sizeBytes: EXTENT }, {})));
    expect(both).to.deep.equal([{ sizeBytes: EXTENT }, { sizeBytes: EXTENT }]);
  });
});
