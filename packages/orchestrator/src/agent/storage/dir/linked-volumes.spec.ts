// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ApiError } from '../../../common/api-error.js';
import type { FileTools } from '../../files/file-tools.js';
import { NodeFileTools } from '../../files/node-file-tools.js';
import { loadNative } from '../../hypervisor/native/load.js';
import { NativeFileTools } from '../../hypervisor/native/native-file-tools.js';
import { DirPool } from './dir-pool.js';

const MEBIBYTE = 2 ** 20;
const IMAGE_BYTES = 3 * MEBIBYTE + 512;
const linked = { id: 'vol-1', imageId: 'img-1', clone: 'linked' } as const;
const storage = { format: 'qcow2', backingImageId: 'img-1' } as const;

for (const [name, make] of [
  ['Node', () => Promise.resolve(new NodeFileTools())],
  ['the core', async () => new NativeFileTools(await loadNative())],
] as [string, () => Promise<FileTools>][]) {
  describe(`a linked volume, made by ${name}`, () => {
    let folder: string;
    let pool: DirPool;
    const file = (path: string) => join(folder, 'pool', path);
    const volumes = () => readdirSync(file('volumes'));
    const qemuImg = (...args: string[]) => execFileSync('qemu-img', args, { encoding: 'utf8' });
    const failure = (attempt: Promise<unknown>) =>
      attempt.then(
        () => undefined,
        (error: unknown) => (error as ApiError).code,
      );
    /** The volume is sound, and shows the image and then nothing but zeroes. */
    const expectImage = (sizeBytes: number) => {
      qemuImg('check', '-q', '-f', 'qcow2', file('volumes/vol-1'));
      const info = JSON.parse(qemuImg('info', '--output=json', file('volumes/vol-1'))) as Record<string, unknown>;
      expect(info).to.include({
        'virtual-size': sizeBytes,
        'backing-filename': '../images/img-1',
        'backing-filename-format': 'raw',
      });
      const whole = Buffer.alloc(sizeBytes);
      readFileSync(file('images/img-1')).copy(whole);
      writeFileSync(file('expected'), whole);
      qemuImg('compare', '-q', '-f', 'qcow2', '-F', 'raw', file('volumes/vol-1'), file('expected'));
    };

    beforeEach(async () => {
      folder = mkdtempSync(join(tmpdir(), 'flotilla-linked-'));
      pool = new DirPool(join(folder, 'pool'), await make());
      writeFileSync(file('images/img-1'), Buffer.alloc(IMAGE_BYTES, 'content '));
    });
    afterEach(() => rmSync(folder, { recursive: true, force: true }));

    it('shows its image and takes next to nothing; made again it stays as it is', async () => {
      const before = (await pool.usage()).allocatedBytes;
      expect(await pool.ensureVolume(linked, {})).to.deep.equal({ sizeBytes: IMAGE_BYTES });
      expect((await pool.usage()).allocatedBytes - before).to.be.below(MEBIBYTE / 2);
      expectImage(IMAGE_BYTES);
      const made = readFileSync(file('volumes/vol-1'));
      expect(await pool.ensureVolume({ ...linked, sizeBytes: 9 * MEBIBYTE }, {})).to.deep.equal({ sizeBytes: IMAGE_BYTES });
      expect(readFileSync(file('volumes/vol-1')).equals(made)).to.equal(true);
      expect([volumes(), await pool.holdsData()]).to.deep.equal([['vol-1'], true]);
    });

    it('may be larger than its image, and grows, never shrinks', async () => {
      expect(await pool.ensureVolume({ ...linked, sizeBytes: 5 * MEBIBYTE }, {})).to.deep.equal({ sizeBytes: 5 * MEBIBYTE });
      expectImage(5 * MEBIBYTE);
      const grow = (sizeBytes: number) => pool.growVolume({ id: 'vol-1', sizeBytes, ...storage });
      expect(await grow(8 * MEBIBYTE)).to.deep.equal({ sizeBytes: 8 * MEBIBYTE });
      expect(await grow(6 * MEBIBYTE)).to.deep.equal({ sizeBytes: 8 * MEBIBYTE });
      expectImage(8 * MEBIBYTE);
      for (const sizeBytes of [2 ** 43, 2 ** 46]) expect(await grow(sizeBytes)).to.deep.equal({ sizeBytes });
      qemuImg('check', '-q', '-f', 'qcow2', file('volumes/vol-1'));
    });

    it('is in whole sectors though its image is not', async () => {
      writeFileSync(file('images/img-1'), Buffer.alloc(1000, 'x'));
      expect(await pool.ensureVolume(linked, {})).to.deep.equal({ sizeBytes: 1024 });
      expectImage(1024);
    });

    it('names the file that the pool has lost', async () => {
      expect(await failure(pool.growVolume({ id: 'vol-1', sizeBytes: MEBIBYTE, ...storage }))).to.equal('file.missing');
      await pool.ensureVolume(linked, {});
      rmSync(file('images/img-1'));
      expect(await failure(pool.growVolume({ id: 'vol-1', sizeBytes: 9 * MEBIBYTE, ...storage }))).to.equal('file.missing');
      expect(await failure(pool.ensureVolume({ ...linked, id: 'vol-2' }, {}))).to.equal('file.missing');
      expect(volumes()).to.deep.equal(['vol-1']);
    });

    it('that is half made is collected; a whole one that nobody owns is set aside, as it is', async () => {
      for (const half of ['vol-2.partial', '.vol-2.partial']) writeFileSync(file(`volumes/${half}`), 'QFI');
      await pool.ensureVolume(linked, {});
      const made = readFileSync(file('volumes/vol-1'));
      const images = new Set(['img-1']);
      const kept = await pool.collect({ volumes: new Set(['vol-1']), images });
      expect([kept.removed.length, kept.setAside, volumes()]).to.deep.equal([2, [], ['vol-1']]);
      const { setAside } = await pool.collect({ volumes: new Set(), images });
      expect(readFileSync(setAside[0] ?? '').equals(made)).to.equal(true);
      expect(volumes()).to.deep.equal([]);
    });
  });
}
