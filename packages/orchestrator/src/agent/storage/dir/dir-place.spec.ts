// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { ApiError } from '../../../common/api-error.js';
import { DirPlace, MARK } from './dir-place.js';

describe('The directory of a storage pool', () => {
  let folder: string;
  const at = (...names: string[]) => join(folder, ...names);
  const place = (pool = 'poo-1', name = 'p') =>
    new DirPlace(at(name), pool, { roots: [], reserved: at('data'), field: 'dir.path', remedy: 'Mount it.' });
  const codeOf = (attempt: Promise<unknown>) =>
    attempt.then(
      () => undefined,
      (error: unknown) => (error as ApiError).code,
    );

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flotilla-place-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('that cannot be read is not taken for one without a mark', async () => {
    await place().make();
    rmSync(at('p', MARK));
    mkdirSync(at('p', MARK)); // which fails as a server does that is away: with an error that is not about the name
    expect(await codeOf(place().require())).to.equal('pool.unavailable');
    await place().remove();
    expect(readdirSync(at('p')).sort()).to.deep.equal([MARK, 'images', 'volumes']);
  });

  it('is made and removed as often as it is asked for, and comes to the same end', async () => {
    for (let turn = 0; turn < 2; turn += 1) await place().make();
    await place().require();
    expect(readdirSync(at('p')).sort()).to.deep.equal([MARK, 'images', 'volumes']);
    for (let turn = 0; turn < 2; turn += 1) await place().remove();
    expect(readdirSync(folder)).to.deep.equal([]);
    expect(await codeOf(place().require())).to.equal('pool.unavailable');
  });

  it('is made whole from what a kill has left, and that goes with it', async () => {
    const staged = at('.p.poo-1.partial');
    mkdirSync(join(staged, 'images', 'deep'), { recursive: true });
    await place().make();
    expect(readdirSync(folder)).to.deep.equal(['p']);
    mkdirSync(staged);
    await place().remove();
    expect(readdirSync(folder)).to.deep.equal([]);
    mkdirSync(at('p'));
    writeFileSync(at('p', `${MARK}.partial`), '{');
    await place().make();
    await place().require();
  });

  it('belongs to one pool', async () => {
    await place().make();
    expect(await codeOf(place('poo-2').make())).to.equal('pool.place_taken');
    expect(await codeOf(place('poo-2').require())).to.equal('pool.unavailable');
    await place('poo-2').remove();
    await place().require();
    writeFileSync(at('p', MARK), 'nonsense');
    expect(await codeOf(place().require())).to.equal('pool.unavailable');
  });

  it('stays while there are volumes, and keeps what others have put there', async () => {
    await place().make();
    writeFileSync(at('p', 'volumes', 'vol-1'), 'data');
    writeFileSync(at('p', 'volumes', 'vol-2.partial'), 'half');
    expect(await codeOf(place().remove())).to.equal('pool.not_empty');
    rmSync(at('p', 'volumes', 'vol-1'));
    writeFileSync(at('p', 'notes'), 'mine');
    await place().remove();
    expect(readFileSync(at('p', 'notes'), 'utf8')).to.equal('mine');
    expect(readdirSync(at('p'))).to.deep.equal(['notes']);
  });

  it('is not removed while a folder of it cannot be read', async () => {
    await place().make();
    rmSync(at('p', 'volumes'), { recursive: true });
    symlinkSync('volumes', at('p', 'volumes'));
    expect(await codeOf(place().remove())).to.equal('pool.unavailable');
    expect(existsSync(at('p', MARK))).to.equal(true);
  });

  it('says which folder somebody has taken out', async () => {
    await place().make();
    rmSync(at('p', 'volumes'), { recursive: true });
    const error = await place()
      .require()
      .catch((failed: ApiError) => failed);
    expect([error?.code, error?.message]).to.deep.equal([
      'pool.unavailable',
      `The storage pool has lost its folder ${at('p', 'volumes')}.`,
    ]);
    mkdirSync(at('p', 'volumes'));
    await place().require();
  });

  it('below a file is refused, and there is nothing to remove', async () => {
    writeFileSync(at('file'), '');
    expect(await codeOf(place('poo-1', 'file/p').make())).to.equal('pool.place_invalid');
    await place('poo-1', 'file/p').remove();
  });
});
