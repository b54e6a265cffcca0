// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { ApiError } from '../../common/api-error.js';
import { copyDisk } from './disk-copier.js';
import { NodeFileTools } from './node-file-tools.js';
import { writeQcow2 } from './qcow2-file.js';

const MIB = 2 ** 20;

describe('The copy of a disk', () => {
  let folder: string;
  const at = (name: string) => join(folder, name);
  const tools = new NodeFileTools();
  const backing = () => [{ path: at('base'), name: 'base', format: 'raw' as const }];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flotilla-copy-'));
    writeFileSync(at('base'), randomBytes(MIB + 512));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A qcow2 image on the base, larger than that, in which data, zeroes and nothing alternate. */
  function written(): Buffer {
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', 'base', '-F', 'raw', at('image'), String(6 * MIB)]);
    const commands = ['write -P 7 100k 300k', 'write -z 512k 128k', 'write -P 9 5000k 5k', 'write -z 1000k 64k'];
    execFileSync('qemu-io', ['-f', 'qcow2', ...commands.flatMap((one) => ['-c', one]), at('image')], { stdio: 'pipe' });
    execFileSync('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', at('image'), at('expected')]);
    return readFileSync(at('expected'));
  }

  it('of a qcow2 image is what its guest saw, with its holes, or with none', async () => {
    const expected = written();
    for (const full of [false, true]) {
      const told: number[] = [];
      const from = { path: at('image'), format: 'qcow2' as const, backing: backing() };
      await copyDisk({ from, to: { file: at('copy'), sizeBytes: 8 * MIB }, full }, tools, { onProgress: ({ bytes }) => told.push(bytes) });
      const copy = readFileSync(at('copy'));
      expect([copy.length, copy.subarray(0, expected.length).equals(expected)], String(full)).to.deep.equal([8 * MIB, true]);
      expect(copy.subarray(expected.length).every((byte) => byte === 0)).to.equal(true);
      const taken = statSync(at('copy')).blocks * 512;
      if (full) expect(taken).to.be.at.least(8 * MIB);
      else expect(taken).to.be.below(3 * MIB);
      expect(told.at(-1)).to.equal(full ? 8 * MIB : 6 * MIB);
    }
  });

  it('to what holds something else leaves nothing of that, if it is to be full', async () => {
    const expected = written();
    writeFileSync(at('device'), Buffer.alloc(7 * MIB, 0xa5));
    const from = { path: at('image'), format: 'qcow2' as const, backing: backing() };
    await copyDisk({ from, to: { device: at('device') }, full: true }, tools, {});
    const copy = readFileSync(at('device'));
    expect(copy.subarray(0, expected.length).equals(expected)).to.equal(true);
    expect(copy.subarray(expected.length).every((byte) => byte === 0)).to.equal(true);
  });

  it('opens nothing that an image names, and reads no image that is none of ours', async () => {
    const failure = async (make: () => unknown, base = backing()): Promise<string | undefined> => {
      await make();
      const from = { path: at('image'), format: 'qcow2' as const, backing: base };
      return copyDisk({ from, to: { file: at('copy'), sizeBytes: 2 ** 30 }, full: false }, tools, {}).then(
        () => undefined,
        (error: unknown) => (error as ApiError).code,
      );
    };
    const named = (name: string) => writeQcow2(at('image'), MIB, { name, format: 'raw' });
    const changed = async (at32: number, value: number) => {
      await named('base');
      const bytes = readFileSync(at('image'));
      bytes.writeUInt32BE(value, at32);
      writeFileSync(at('image'), bytes);
    };
    expect(await failure(() => named('base'))).to.equal(undefined);
    expect(await failure(() => named('/etc/shadow'))).to.equal('image.backing');
    expect(await failure(() => named('base'), [])).to.equal('image.backing');
    expect(await failure(() => writeQcow2(at('image'), MIB))).to.equal('image.backing');
    for (const [offset, value] of [
      [0, 0],
      [4, 4],
      [20, 40],
      [32, 1],
      [36, 2 ** 31],
      [36, 0],
      [76, 4],
    ] as const)
      expect(await failure(() => changed(offset, value)), `${offset}`).to.equal('image.corrupt');
    expect(await failure(() => writeFileSync(at('image'), '')), 'nothing').to.equal('image.corrupt');
    expect(await failure(() => named('base').then(() => truncateSync(at('image'), 300))), 'cut short').to.equal('image.corrupt');
  });
});
