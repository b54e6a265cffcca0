// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { ApiError } from '../../../common/api-error.js';
import { checkFormat } from './inspect.js';

const CPIO = `070701${'0'.repeat(104)}`;
const GIVE = /^Give the format (qcow2|vmdk|vhdx|vhd|vdi):/;
const CONVERT = /^Convert it first: qemu-img convert -O raw/;

describe('the format of a file', () => {
  const directory = mkdtempSync(join(tmpdir(), 'flotilla-inspect-'));
  const path = join(directory, 'file');

  after(() => rmSync(directory, { recursive: true, force: true }));

  /** What is wrong with such a content; undefined when nothing is. */
  async function fault(content: Uint8Array | string, format: string): Promise<ApiError | undefined> {
    writeFileSync(path, typeof content === 'string' ? Buffer.from(content, 'latin1') : content);
    try {
      await checkFormat(path, format);
      return undefined;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return error;
    }
  }

  const packers: [program: string, args: string[]][] = [
    ['gzip', ['-c']],
    ['xz', ['-c']],
    ['xz', ['-c', '--format=lzma']],
    ['bzip2', ['-c']],
    ['zstd', ['-c', '-q']],
    ['lz4', ['-c', '-q']],
    ['lz4', ['-c', '-q', '-l']],
    ['lzop', ['-c']],
  ];
  for (const [program, args] of packers) {
    it(`takes an initrd that ${[program, ...args].join(' ')} packed`, async function () {
      const input = Buffer.from(CPIO.repeat(8), 'latin1');
      let packed: Buffer;
      try {
        packed = execFileSync(program, args, { input, stdio: ['pipe', 'pipe', 'ignore'] });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
        return this.skip();
      }
      expect(await fault(packed, 'initrd')).to.equal(undefined);
    });
  }

  it('of an initrd is cpio, also after zeroes', async () => {
    for (const content of [CPIO, CPIO.replace('070701', '070702'), `${'\0'.repeat(1024)}${CPIO}`])
      expect(await fault(content, 'initrd')).to.equal(undefined);
  });

  it('of an initrd is not text, an old cpio, a disk or zeroes', async () => {
    for (const content of ['text', '070707', 'QFI\xfb', '\x7fELF', '\0'.repeat(8192)]) {
      const found = await fault(content, 'initrd');
      expect(found, content.slice(0, 8)).to.include({ code: 'image.format_mismatch', field: 'format' });
    }
  });

  it('of a raw disk is anything without the header of another format', async () => {
    const disks = [Buffer.alloc(512), Buffer.alloc(64 * 1024, 7), Buffer.from('any text'), Buffer.from('\x5d\0\0', 'latin1')];
    for (const content of disks) expect(await fault(content, 'raw')).to.equal(undefined);
  });

  const others: [what: string, content: string, remedy: RegExp][] = [
    ['qcow2', 'QFI\xfb\0\0\0\x03', GIVE],
    ['QED', 'QED\0', CONVERT],
    ['VMDK', 'KDMV\x01', GIVE],
    ['VMDK', '# Disk DescriptorFile\nversion=1', GIVE],
    ['VHDX', 'vhdxfile', GIVE],
    ['VHD', 'conectix', GIVE],
    ['VDI', `<<< Oracle VM VirtualBox Disk Image >>>\n${'\0'.repeat(24)}\x7f\x10\xda\xbe`, GIVE],
    ['Parallels', 'WithoutFreeSpace', CONVERT],
    ['gzip', '\x1f\x8b\x08', /^Unpack it first \(gunzip\)/],
    ['xz', '\xfd7zXZ\0', /^Unpack it first \(unxz\)/],
    ['zstd', '\x28\xb5\x2f\xfd', /^Unpack it first/],
    ['ELF', '\x7fELF', /disk/],
    ['zip', 'PK\x03\x04', /disk/],
    ['cpio', CPIO, /disk/],
  ];
  for (const [what, content, remedy] of others) {
    it(`of a raw disk is not ${what}`, async () => {
      const found = await fault(content, 'raw');
      expect(found).to.include({ code: 'image.format_mismatch', field: 'format' });
      expect(found?.message).to.contain(what);
      expect(found?.remedy).to.match(remedy);
    });
  }

  it('is told of every file, or what is wrong with it', async () => {
    const start = fc.constantFrom('', '\x7fELF\x02\x01', '070701', 'QFI\xfb', '\x5d\0\0');
    const format = fc.constantFrom('elf', 'bzimage', 'initrd', 'raw');
    await fc.assert(
      fc.asyncProperty(start, fc.uint8Array({ maxLength: 1200 }), format, async (head, rest, of) => {
        const found = await fault(Buffer.concat([Buffer.from(head, 'latin1'), rest]), of);
        if (found !== undefined) expect(found.code).to.be.oneOf(['image.format_mismatch', 'image.truncated']);
      }),
      { numRuns: 200 },
    );
  });
});
