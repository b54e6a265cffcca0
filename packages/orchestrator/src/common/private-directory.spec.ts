// SPDX-License-Identifier: Apache-2.0
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { DirectoryLock } from './directory-lock.js';
import { DirectoryNotOurs, makePrivate, takePrivate } from './private-directory.js';

describe('A private directory', () => {
  let root: string;
  let path: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'flotilla-private-'));
    path = join(root, 'data');
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const mode = (name: string) => (statSync(name).mode & 0o7777).toString(8);

  it('is made for its owner alone', () => {
    expect(takePrivate(path)).to.deep.equal({ wasOpen: false });
    expect(mode(path)).to.equal('700');
  });

  it('that was there for others too is taken from them', () => {
    mkdirSync(path);
    chmodSync(path, 0o755);
    expect(takePrivate(path)).to.deep.equal({ wasOpen: true });
    expect(mode(path)).to.equal('700');
  });

  it('of somebody else is refused, with the way out', function () {
    if (process.getuid?.() !== 0) {
      console.log('SKIPPED: giving away needs root');
      this.skip();
    }
    mkdirSync(path);
    chownSync(path, 65_534, 65_534);
    expect(() => takePrivate(path)).to.throw(DirectoryNotOurs, `chown 0 ${path}`);
  });

  it('has files that others cannot read, also those that were there', () => {
    takePrivate(path);
    const [fresh, old] = [join(path, 'fresh'), join(path, 'old')];
    writeFileSync(old, 'kept');
    chmodSync(old, 0o644);
    for (const one of [fresh, old]) makePrivate(one);
    expect([mode(fresh), mode(old), statSync(old).size]).to.deep.equal(['600', '600', 4]);
  });

  it('keeps its lock when it is asked for once more', () => {
    const lock = DirectoryLock.take(path, 'a.lock');
    expect(mode(join(path, 'a.lock'))).to.equal('600');
    expect(() => DirectoryLock.take(path, 'a.lock')).to.throw('Another process uses');
    lock.release();
  });
});
