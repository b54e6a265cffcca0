// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { ApiError } from '../../../common/api-error.js';
import type { PoolRefOf } from '../../../common/pool.js';
import { FakeMounts } from '../fake/fake-mounts.js';
import { MARK } from '../dir/dir-place.js';
import { NfsPool } from './nfs-pool.js';

const ref: PoolRefOf<'nfs'> = { id: 'poo-1', kind: 'nfs', config: { server: 'nas', path: '/srv' }, generation: 1, guardPercent: 0 };
/** For a host that has much to do. */
const PATIENT = 60_000;
/** For storage that will not answer. */
const HASTY = 200;

describe('A pool on an NFS export', function () {
  this.timeout(120_000);
  const patience = { start: 120_000, between: 50, answer: PATIENT };
  let folder: string;
  let pool: NfsPool;
  const at = (...names: string[]) => join(folder, ...names);
  const served = (...names: string[]) => at('exports', encodeURIComponent('nas:/srv'), ...names);
  const make = (rooted = false) => {
    const mounts = new FakeMounts(at('exports'));
    return new NfsPool(ref, { mounts, points: at('points'), home: at('home'), native: false, rooted, patience });
  };
  const failure = (attempt: Promise<unknown>) =>
    attempt.then(
      () => undefined,
      (error: unknown) => [(error as ApiError).code, (error as ApiError).field].filter((one) => one !== undefined),
    );
  /** The process that works on it. */
  const aside = (of = pool) => (of as unknown as { aside?: { pid: number } }).aside?.pid ?? 0;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flotilla-nfs-'));
    for (const name of ['exports', 'points', 'home']) mkdirSync(at(name));
    mkdirSync(served());
    patience.answer = PATIENT;
    pool = make();
  });
  afterEach(async () => {
    await pool.close(true);
    rmSync(folder, { recursive: true, force: true });
  });

  it('is made, opened, used, closed and removed, and gives the export back as it got it', async () => {
    for (let turn = 0; turn < 2; turn += 1) await pool.make();
    await pool.open();
    expect(readdirSync(served()).sort()).to.deep.equal([MARK, 'images', 'volumes']);
    writeFileSync(at('home', 'image'), 'the image '.repeat(1000));
    const copy = { id: 'vol-1', imageId: 'img-1', imagePath: at('home', 'image') };
    expect(await pool.ensureVolume(copy, {})).to.deep.equal({ sizeBytes: 10_000 });
    expect(await pool.ensureVolume({ ...copy, id: 'vol-2', clone: 'linked', sizeBytes: 2 ** 20 }, {})).to.deep.equal({
      sizeBytes: 2 ** 20,
    });
    expect(await pool.growVolume({ id: 'vol-1', format: 'raw', sizeBytes: 2 ** 20 })).to.deep.equal({ sizeBytes: 2 ** 20 });
    expect((await pool.usage()).allocatedBytes).to.be.greaterThan(0);
    expect(pool.diskFiles('vol-2', { format: 'qcow2', backingImageId: 'img-1' })).to.deep.equal({
      path: at('points/poo-1/volumes/vol-2'),
      format: 'qcow2',
      backing: [{ path: at('points/poo-1/images/img-1'), name: '../images/img-1', format: 'raw' }],
    });
    expect(await failure(pool.remove(false))).to.deep.equal(['pool.not_empty']);
    expect(existsSync(at('points/poo-1')), 'mounted after a failed removal').to.equal(false);
    await pool.open();
    for (const id of ['vol-1', 'vol-2']) await pool.removeVolume(id);
    await pool.close(false);
    expect([existsSync(at('points/poo-1')), existsSync(served(MARK))]).to.deep.equal([false, true]);
    await pool.remove(false);
    expect([readdirSync(served()), readdirSync(at('points'))]).to.deep.equal([[], []]);
  });

  it('is collected: what is half made goes, what nobody owns is set aside, and what came meanwhile stays', async () => {
    await pool.make();
    for (const name of ['vol-1', 'vol-2', 'vol-3.partial']) writeFileSync(served('volumes', name), 'x');
    writeFileSync(served('images', 'img-1'), 'x');
    const asked: string[] = [];
    const keep = {
      has: (id: string) => {
        asked.push(id);
        writeFileSync(served('volumes', 'vol-4'), 'made meanwhile');
        return id === 'vol-1';
      },
    };
    const { removed, setAside } = await pool.collect({ volumes: keep, images: keep });
    expect(readdirSync(served('volumes')).sort()).to.deep.equal(['vol-1', 'vol-4']);
    expect([removed.length, setAside.length]).to.deep.equal([2, 1]);
    expect(asked.sort()).to.deep.equal(['img-1', 'vol-1', 'vol-2', 'vol-3']);
  });

  it('is found mounted by the next process, and not mounted over something else', async () => {
    await pool.make();
    pool.leave();
    const next = make();
    await next.open();
    expect((await next.usage()).capacityBytes).to.be.greaterThan(0);
    await next.close(false);
    mkdirSync(at('exports', encodeURIComponent('other:/srv')));
    await new FakeMounts(at('exports')).mount({ source: 'other:/srv', point: at('points/poo-1'), options: [] });
    expect(await failure(next.open())).to.deep.equal(['pool.unavailable']);
  });

  it('says what is wrong with its definition, by the field', async () => {
    rmSync(served(), { recursive: true });
    expect(await failure(pool.make())).to.deep.equal(['pool.unavailable', 'nfs.server']);
    mkdirSync(served());
    writeFileSync(served('mine'), '');
    expect(await failure(pool.make())).to.deep.equal(['pool.place_taken', 'nfs.path']);
    await pool.remove(true); // undone
    expect([readdirSync(served()), readdirSync(at('points'))]).to.deep.equal([['mine'], []]);
    expect(await failure(make(true).make())).to.deep.equal(['pool.outside_roots', 'nfs']);
  });

  it('fails soon when the storage does not answer, all that is asked of it, and comes back by itself', async () => {
    await pool.make();
    process.kill(aside(), 'SIGSTOP'); // as if each of its threads waited in the kernel
    patience.answer = HASTY;
    const asked = [pool.open(), pool.usage(), pool.removeVolume('vol-1'), pool.ensureVolume({ id: 'vol-2', sizeBytes: 1 }, {})];
    const failures = await Promise.all(asked.map(failure));
    expect(failures).to.deep.equal(asked.map(() => ['pool.unavailable']));
    patience.answer = PATIENT;
    await pool.open();
    expect((await pool.usage()).capacityBytes).to.be.greaterThan(0);
    expect(readdirSync(served('volumes'))).to.deep.equal([]);
  });

  it('is let go of by force alone while the storage does not answer', async () => {
    await pool.make();
    process.kill(aside(), 'SIGSTOP');
    patience.answer = HASTY;
    expect(await failure(pool.close(false))).to.deep.equal(['pool.unavailable']);
    expect(existsSync(at('points/poo-1'))).to.equal(true);
    await pool.close(true);
    expect(readdirSync(at('points'))).to.deep.equal([]);
    expect(await failure(pool.usage())).to.deep.equal(['pool.unavailable']);
  });

  it('leaves nothing half made of what is called off', async () => {
    await pool.make();
    writeFileSync(at('home', 'image'), '');
    const stop = new AbortController();
    writeFileSync(at('home', 'image'), Buffer.alloc(64 * 2 ** 20, 1));
    const copying = pool.ensureVolume(
      { id: 'vol-1', imageId: 'img-1', imagePath: at('home', 'image') },
      { signal: stop.signal, onProgress: () => stop.abort(new Error('called off')) },
    );
    expect(await copying.catch((error: unknown) => (error as Error).message)).to.equal('called off');
    expect(readdirSync(served('volumes'))).to.deep.equal([]);
    expect(statSync(at('home', 'image')).size).to.equal(64 * 2 ** 20);
  });

  it('has no process left when it is closed', async () => {
    await pool.make();
    const pid = aside();
    await pool.close(false);
    expect(() => process.kill(pid, 0)).to.throw('ESRCH');
  });
});
