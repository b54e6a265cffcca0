// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { CONSOLE_KEEP_BYTES, ConsoleArchive } from './console-archive.js';
import { PARTIAL_SUFFIX } from './files/durable.js';

describe('ConsoleArchive', () => {
  let directory: string;
  let archive: ConsoleArchive;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'flotilla-console-'));
    archive = new ConsoleArchive(directory);
  });

  afterEach(() => rmSync(directory, { recursive: true }));

  it('keeps the newest part and where it begins', async () => {
    await archive.store('mac-1', { offset: 7, bytes: Buffer.alloc(CONSOLE_KEEP_BYTES + 3, 'x') });
    const { offset, bytes } = await archive.load('mac-1');
    expect([offset, bytes.length]).to.deep.equal([10, CONSOLE_KEEP_BYTES]);
  });

  it('collects what no machine owns, and leaves alone what is just being stored', async () => {
    await archive.store('mac-1', { offset: 0, bytes: Buffer.from('one') });
    await archive.store('mac-2', { offset: 0, bytes: Buffer.from('two') });
    for (const id of ['mac-1', 'mac-2']) writeFileSync(join(directory, `${id}${PARTIAL_SUFFIX}`), '');
    await archive.collect(new Set(['mac-1']));
    expect(readdirSync(directory).sort()).to.deep.equal(['mac-1', `mac-1${PARTIAL_SUFFIX}`]);
    await archive.remove('mac-1');
    expect(readdirSync(directory)).to.deep.equal([]);
  });
});
