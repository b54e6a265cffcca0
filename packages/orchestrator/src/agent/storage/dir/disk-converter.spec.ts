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
    pool = new DirPool(file('pool'), new NodeFileTools(), [], new DiskConverter(new CommandRunner(pino({ level: 'silent' }))));
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
