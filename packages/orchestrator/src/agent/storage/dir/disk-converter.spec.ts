// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { pino } from 'pino';
import { ApiError } from '../../../common/api-error.js';
import { NodeFileTools } from '../../files/node-file-tools.js';
import { CommandRunner } from '../../runner/command-runner.js';
import { DirPool } from './dir-pool.js';
import { DiskConverter } from './disk-converter.js';

const SIZE = 3 * 1024 * 1024;
/** Our names of formats, and those of qemu-img. */
const NAMES = { qcow2: 'qcow2', vmdk: 'vmdk', vhd: 'vpc', vhdx: 'vhdx', vdi: 'vdi' };

describe('A pool that imports disks of other formats', function () {
  this.timeout(60_000);
  let folder: string;
  let pool: DirPool;
  const file = (name: string) => join(folder, name);
  const qemuImg = (...args: string[]) => execFileSync('qemu-img', args, { stdio: 'ignore' });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'flotilla-convert-'));
    pool = new DirPool(file('pool'), new NodeFileTools(), {
      converter: new DiskConverter(new CommandRunner(pino({ level: 'silent' }))),
    });
    writeFileSync(file('raw'), Buffer.alloc(SIZE, 'content '));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function refusal(path: string, format: string): Promise<ApiError> {
    const error: unknown = await load(path, format).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(readdirSync(join(file('pool'), 'images')), 'something is left').to.deep.equal([]);
    expect(error).to.be.instanceOf(ApiError);
    return error as ApiError;
  }

  function load(path: string, format: string) {
    return pool.importImage({ id: 'img-1', path, anywhere: true, kind: 'disk', format }, {});
  }

  for (const [format, name] of Object.entries(NAMES)) {
    it(`keeps a ${format} disk as a raw one`, async () => {
      // A VHD tells its size in cylinders, unless it is forced to be exact.
      qemuImg('convert', '-f', 'raw', '-O', name, ...(name === 'vpc' ? ['-o', 'force_size=on'] : []), file('raw'), file('disk'));
      const facts = await load(file('disk'), format);
      expect(facts.sizeBytes).to.equal(SIZE);
      expect(readFileSync(pool.imagePath('img-1')).equals(readFileSync(file('raw')))).to.equal(true);
      expect(readdirSync(join(file('pool'), 'images'))).to.deep.equal(['img-1']);
    });
  }

  it('refuses an image that would read other files of the host', async () => {
    qemuImg('create', '-f', 'qcow2', '-b', file('raw'), '-F', 'raw', file('overlay'));
    expect((await refusal(file('overlay'), 'qcow2')).code).to.equal('image.backing');
    qemuImg('create', '-f', 'qcow2', '-o', `data_file=${file('data')}`, file('external'), '1M');
    expect((await refusal(file('external'), 'qcow2')).code).to.equal('image.backing');
    qemuImg('convert', '-f', 'raw', '-O', 'vmdk', '-o', 'subformat=monolithicFlat', file('raw'), file('flat'));
    expect((await refusal(file('flat'), 'vmdk')).code).to.equal('image.format_mismatch');
  });

  it('has qemu-img not even look at an image whose header leads to other files', async () => {
    const program = new CommandRunner(pino({ level: 'silent' }));
    program.run = () => Promise.reject(new Error('It was started.'));
    pool = new DirPool(file('pool'), new NodeFileTools(), { converter: new DiskConverter(program) });
    qemuImg('create', '-f', 'qcow2', '-o', `data_file=${file('data')}`, file('external'), '1M');
    expect((await refusal(file('external'), 'qcow2')).code).to.equal('image.backing');
    // A header without capacity, and behind it the text that names the file.
    const header = Buffer.alloc(512);
    header.write('KDMV');
    header.writeUInt32LE(1, 4);
    header.writeBigUInt64LE(1n, 28);
    const extents = `# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\nRW 8 FLAT "${file('raw')}" 0\n`;
    writeFileSync(file('behind'), Buffer.concat([header, Buffer.from(extents.padEnd(8192, '\0'))]));
    expect((await refusal(file('behind'), 'vmdk')).code).to.equal('image.backing');
  });

  it('refuses a VHD that holds only what differs from a parent, which qemu-img reads as an empty disk', async () => {
    qemuImg('create', '-f', 'vpc', file('child'), '4M');
    const bytes = readFileSync(file('child'));
    for (const at of [0, bytes.length - 512]) {
      bytes.writeUInt32BE(4, at + 60);
      bytes.writeUInt32BE(0, at + 64);
      const sum = bytes.subarray(at, at + 512).reduce((total, byte) => total + byte, 0);
      bytes.writeUInt32BE(~sum >>> 0, at + 64);
    }
    writeFileSync(file('child'), bytes);
    expect((await refusal(file('child'), 'vhd')).code).to.equal('image.backing');
  });

  it('blames the image, not the host, when qemu-img is ended by a limit or tells too much', async () => {
    qemuImg('create', '-f', 'qcow2', file('disk'), '1M');
    const program = new CommandRunner(pino({ level: 'silent' }));
    pool = new DirPool(file('pool'), new NodeFileTools(), { converter: new DiskConverter(program) });
    for (const result of [
      { status: -1, stdout: '', stderr: '' },
      { status: 0, stdout: '{"snapshots": [', stderr: '' },
    ]) {
      program.run = () => Promise.resolve(result);
      expect((await refusal(file('disk'), 'qcow2')).code).to.equal('image.corrupt');
    }
  });

  it('says what to install on a host without qemu-img', async () => {
    qemuImg('create', '-f', 'qcow2', file('disk'), '1M');
    const program = new CommandRunner(pino({ level: 'silent' }));
    const { run } = program;
    program.run = (name, args, options) =>
      run.call(program, name, [...args.slice(0, args.indexOf('qemu-img')), 'no-such-program'], options);
    pool = new DirPool(file('pool'), new NodeFileTools(), { converter: new DiskConverter(program) });
    expect((await refusal(file('disk'), 'qcow2')).remedy).to.include('qemu-utils');
  });

  it('ends qemu-img when the import is called off while it looks at the image', async () => {
    qemuImg('create', '-f', 'qcow2', file('disk'), '1M');
    const program = new CommandRunner(pino({ level: 'silent' }));
    const control = new AbortController();
    let ended = 0;
    program.run = (_program, _args, { signal } = {}) =>
      new Promise((resolve) => {
        signal?.addEventListener('abort', () => {
          ended += 1;
          resolve({ status: -1, stdout: '', stderr: '' });
        });
        control.abort(new Error('called off'));
      });
    const error: unknown = await new DiskConverter(program)
      .inspect(file('disk'), 'qcow2', control.signal)
      .catch((thrown: unknown) => thrown);
    expect([ended, String(error)]).to.deep.equal([1, 'Error: called off']);
  });

  it('does not tell where the pool keeps a file that it refuses', async () => {
    for (const format of ['qcow2', 'vhdx']) {
      const { message } = await refusal(file('raw'), format);
      expect(message).to.include('qemu-img').and.not.include(folder);
    }
  });

  it('refuses a file of another format than the one given', async () => {
    for (const format of ['qcow2', 'vmdk', 'vhdx', 'vdi', 'vhd']) {
      expect((await refusal(file('raw'), format)).code, format).to.equal('image.format_mismatch');
    }
  });

  it('refuses an image that was cut short', async () => {
    for (const [format, name] of Object.entries(NAMES)) {
      for (const part of [0.02, 0.5]) {
        qemuImg('convert', '-f', 'raw', '-O', name, file('raw'), file('disk'));
        truncateSync(file('disk'), Math.floor(statSync(file('disk')).size * part));
        const { code } = await refusal(file('disk'), format);
        expect(code, `${format}, ${part}`).to.be.oneOf(['image.format_mismatch', 'image.corrupt']);
      }
    }
  });
});
