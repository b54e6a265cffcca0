// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect } from 'chai';
import { NodeFileTools } from '../../files/node-file-tools.js';
import { DirPool } from './dir-pool.js';
import { KEPT_DAYS } from './set-aside.js';

const NOTHING = new Set<string>();

describe('A pool that is collected', () => {
  let directory: string;
  let pool: DirPool;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'flotilla-pool-'));
    pool = new DirPool(directory, new NodeFileTools());
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const put = (name: string, text = name) => writeFileSync(join(directory, name), text);
  const collections = () => (existsSync(join(directory, 'set-aside')) ? readdirSync(join(directory, 'set-aside')) : []);

  it('sets whole files aside that nobody owns, with their content', async () => {
    put('volumes/vol-a', 'the only copy');
    put('images/img-a', 'uploaded once');
    put('volumes/vol-b');
    const { removed, setAside } = await pool.collect({ volumes: new Set(['vol-b']), images: NOTHING });
    expect(removed).to.deep.equal([]);
    expect(setAside.map((path) => [basename(path), readFileSync(path, 'utf8')])).to.deep.equal([
      ['img-a', 'uploaded once'],
      ['vol-a', 'the only copy'],
    ]);
    expect([readdirSync(join(directory, 'volumes')), readdirSync(join(directory, 'images'))]).to.deep.equal([['vol-b'], []]);
    expect((await pool.usage()).allocatedBytes, 'what is set aside takes space too').to.be.greaterThan(4096);
  });

  it('deletes at once what was never whole, and makes no folder for it', async () => {
    for (const name of ['volumes/vol-a.partial', 'volumes/.vol-a.partial', 'images/img-a.import', 'images/img-a.import.partial']) put(name);
    const { removed, setAside } = await pool.collect({ volumes: new Set(['vol-a']), images: NOTHING });
    expect([removed.length, setAside, collections()]).to.deep.equal([4, [], []]);
  });

  it('goes on after a file that cannot be moved, because it lies on another file system', async () => {
    const elsewhere = mkdtempSync('/dev/shm/flotilla-pool-');
    try {
      rmSync(join(directory, 'images'), { recursive: true });
      symlinkSync(elsewhere, join(directory, 'images'));
      put('images/img-a');
      put('volumes/vol-a');
      const { setAside, failed } = await pool.collect({ volumes: NOTHING, images: NOTHING });
      expect(setAside.map((path) => basename(path))).to.deep.equal(['vol-a']);
      expect(failed.join()).to.match(/images\/img-a: .*EXDEV/);
      expect(readdirSync(elsewhere)).to.deep.equal(['img-a']);
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });

  it('keeps what was set aside for its time, and leaves what somebody else put there', async () => {
    const age = (days: number) => new Date(Date.now() - days * 86_400_000).toISOString();
    const [old, young] = [age(KEPT_DAYS + 1), age(KEPT_DAYS - 1)];
    for (const name of [old, young, 'mine']) mkdirSync(join(directory, 'set-aside', name, 'volumes'), { recursive: true });
    const { removed } = await pool.collect({ volumes: NOTHING, images: NOTHING });
    expect(removed.map((path) => basename(path))).to.deep.equal([old]);
    expect(collections()).to.have.members([young, 'mine']);
  });
});
