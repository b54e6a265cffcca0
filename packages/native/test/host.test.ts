// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';

import {
  checkHost,
  copyFile,
  createQcow2,
  createSeedDisk,
  createTap,
  deleteTap,
  type FileProgress,
  fillDevice,
  type FlotillaError,
  growQcow2,
  hashFile,
  inspectImage,
  listTaps,
} from '../src/index.js';
import { guest, lacks, makeGuests, scratch } from './support/host.js';
import { rejects } from './support/rejects.js';

describe('Host services', () => {
  let folder: ReturnType<typeof scratch>;
  const path = (name: string): string => join(folder.path, name);

  before(function () {
    makeGuests(this);
  });
  beforeEach(() => {
    folder = scratch();
  });
  afterEach(() => folder.remove());

  it('report on the host, each check with its meaning, and a remedy where one is needed', async () => {
    const report = await checkHost({ dataDirectory: folder.path, programs: ['sh', 'no-such-program'] });
    for (const check of report.checks) {
      expect(check.meaning, check.id).not.to.equal('');
      expect(check.remedy === undefined, check.id).to.equal(check.status === 'ok');
    }
    const status = (id: string): string | undefined => report.checks.find((check) => check.id === id)?.status;
    expect(status('program-sh')).to.equal('ok');
    expect(status('program-no-such-program')).to.equal('missing');
    expect(report.kvm.kind).to.be.oneOf(['hardware', 'software', 'none']);
    expect(status('kvm') === 'missing', report.kvm.detail).to.equal(report.kvm.kind === 'none');
  });

  it('hash a file with progress', async () => {
    const content = Buffer.alloc(5 << 20, 'x');
    writeFileSync(path('a'), content);
    const told: FileProgress[] = [];
    const hash = await hashFile({ path: path('a'), onProgress: (progress) => told.push(progress) });
    expect(hash).to.equal(createHash('sha256').update(content).digest('hex'));
    expect(told[0]).to.deep.equal({ bytes: 0, totalBytes: content.length });
    await rejects(hashFile({ path: path('a'), signal: AbortSignal.abort() }), 'aborted');
    await rejects(hashFile({ path: folder.path }), 'file.not_regular');
  });

  it('copy a file, keep its holes and let it grow', async () => {
    writeFileSync(path('a'), 'start');
    truncateSync(path('a'), 64 << 20);
    const copied = await copyFile({ source: path('a'), target: path('b'), sizeBytes: 128 << 20 });
    expect(copied.sizeBytes).to.equal(128 << 20);
    const copy = statSync(path('b'));
    expect(copy.size).to.equal(128 << 20);
    expect(copy.blocks * 512).to.be.lessThan(1 << 20);
    expect(readFileSync(path('b')).subarray(0, 5).toString()).to.equal('start');
    await rejects(copyFile({ source: path('a'), target: path('c'), sizeBytes: 1 }), 'spec.invalid_value');
    await rejects(copyFile({ source: path('a'), target: path('c'), sizeBytes: 1.5 }), 'spec.invalid_value');
    expect(readdirSync(folder.path).sort()).to.deep.equal(['a', 'b']);
  });

  it('fill a device with an image and zeroes, or with zeroes alone', async () => {
    writeFileSync(path('image'), 'start');
    writeFileSync(path('device'), Buffer.alloc(4096, 1));
    await fillDevice({ device: path('device'), image: path('image') });
    expect(readFileSync(path('device'))).to.deep.equal(Buffer.concat([Buffer.from('start'), Buffer.alloc(4091)]));
    writeFileSync(path('device'), Buffer.alloc(4096, 1));
    await fillDevice({ device: path('device'), fromBytes: 4095 });
    expect(readFileSync(path('device')).subarray(4094)).to.deep.equal(Buffer.from([1, 0]));
    const told: FileProgress[] = [];
    await fillDevice({ device: path('device'), onProgress: (progress) => told.push(progress) });
    expect(readFileSync(path('device'))).to.deep.equal(Buffer.alloc(4096));
    expect(told.at(-1)).to.deep.equal({ bytes: 4096, totalBytes: 4096 });
    await rejects(fillDevice({ device: folder.path }), 'file.not_regular');
    await rejects(fillDevice({ device: path('image'), image: path('device'), used: false }), 'spec.invalid_value');
  });

  it('make qcow2 images, larger ones too, and nothing when that cannot be', async () => {
    writeFileSync(path('base'), Buffer.alloc(1 << 20, 1));
    const backing = { name: 'base', format: 'raw' } as const;
    await createQcow2({ target: path('image'), sizeBytes: 1 << 20, backing });
    const grow = { path: path('image'), sizeBytes: 2 << 20 };
    await rejects(growQcow2(grow), 'disk.backing');
    await rejects(growQcow2({ ...grow, backing: [{ ...backing, name: 'other', path: path('base') }] }), 'disk.backing');
    for (const [asked, is] of [
      [2 << 20, 2 << 20],
      [1 << 20, 2 << 20],
    ] as const)
      expect(await growQcow2({ ...grow, sizeBytes: asked, backing: [{ ...backing, path: path('base') }] })).to.equal(is);
    await rejects(createQcow2({ target: path('odd'), sizeBytes: 1 }), 'disk.size');
    await rejects(createQcow2({ target: path('odd'), sizeBytes: 512, backing: { ...backing, name: '' } }), 'spec.invalid_type');
    await rejects(
      createQcow2({ target: path('odd'), sizeBytes: 512, backing: { ...backing, format: 'vmdk' as 'raw' } }),
      'spec.invalid_value',
    );
    expect(readdirSync(folder.path).sort()).to.deep.equal(['base', 'image']);
  });

  it('make seed disks that other programs read', async () => {
    const files = [
      { name: 'user-data', content: '#cloud-config\nhostname: größer\n' },
      { name: 'meta-data', content: '' },
    ];
    await createSeedDisk({ target: path('seed'), files });
    expect(execFileSync('blkid', ['-o', 'export', path('seed')], { encoding: 'utf8' }))
      .to.contain('LABEL=CIDATA')
      .and.to.contain('TYPE=vfat');
    execFileSync('fsck.fat', ['-n', path('seed')]); // a status other than 0 is an error
    expect(
      execFileSync('mdir', ['-b', '-i', path('seed'), '::'], { encoding: 'utf8' })
        .trim()
        .split('\n'),
    ).to.deep.equal(['::/user-data', '::/meta-data']);
    expect(execFileSync('mtype', ['-i', path('seed'), '::user-data'], { encoding: 'utf8' })).to.equal(files[0]?.content);
    for (const name of ['', '../user-data', 'USER'])
      await rejects(
        createSeedDisk({ target: path('odd'), files: [{ name, content: '' }] }),
        name === '' ? 'spec.invalid_type' : 'spec.invalid_value',
      );
    expect(readdirSync(folder.path)).to.deep.equal(['seed']);
  });

  it('leave nothing of a copy that is aborted, or whose listener throws', async () => {
    writeFileSync(path('a'), Buffer.alloc(256 << 20, 1));
    const controller = new AbortController();
    const aborted = copyFile({ source: path('a'), target: path('b'), onProgress: () => controller.abort(), signal: controller.signal });
    // A clone may be done before the abort arrives; then the copy is whole.
    const outcome = await aborted.catch((error: unknown) => error);
    if (outcome instanceof Error) {
      await rejects(aborted, 'aborted');
      expect(readdirSync(folder.path)).to.deep.equal(['a']);
    } else {
      expect(statSync(path('b')).size).to.equal(256 << 20);
    }
    await rejects(copyFile({ source: path('a'), target: path('c'), signal: AbortSignal.abort() }), 'aborted');
    expect(existsSync(path('c'))).to.equal(false);
    const fault = new Error('mine');
    const thrown = hashFile({
      path: path('a'),
      onProgress: () => {
        throw fault;
      },
    });
    expect(await thrown.catch((error: unknown) => error)).to.equal(fault);
  });

  it('say that a disk is full, and leave nothing on it', async function () {
    const small = path('small');
    mkdirSync(small);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'flotilla-test', small]);
    if (mounted.status !== 0) return lacks(this, `no file system can be mounted: ${String(mounted.stderr).trim()}`);
    try {
      writeFileSync(path('a'), Buffer.alloc(8 << 20, 1));
      await rejects(copyFile({ source: path('a'), target: join(small, 'b') }), 'host.no_space');
      expect(readdirSync(small)).to.deep.equal([]);
    } finally {
      spawnSync('umount', [small]);
    }
  });

  it('say what an image is', async () => {
    expect(await inspectImage({ path: guest('hello'), kind: 'kernel' })).to.include({ format: 'elf' });
    writeFileSync(path('text'), 'some text');
    await rejects(inspectImage({ path: path('text'), kind: 'kernel' }), 'kernel.unrecognised');
    await rejects(inspectImage({ path: path('text'), kind: 'initrd' }), 'image.unrecognised');
    await rejects(inspectImage({ path: path('text'), kind: 'disk' }), 'image.truncated');
    await rejects(inspectImage({ path: path('text'), kind: 'sculpture' as 'disk' }), 'spec.invalid_value');
    await rejects(inspectImage({ path: path('none'), kind: 'disk' }), 'file.missing');
    await rejects(inspectImage({ path: 'with\0nul', kind: 'disk' }), 'spec.invalid_type');
  });

  it('make, list and delete taps', async function () {
    const name = `flt${process.pid}`;
    const denied = await createTap({ name }).then(
      () => undefined,
      (error: FlotillaError) => error,
    );
    if (denied?.code === 'file.denied') return lacks(this, denied.message);
    if (denied !== undefined) throw denied;
    await createTap({ name });
    expect(await listTaps(name)).to.deep.equal([name]);
    await deleteTap(name);
    await deleteTap(name);
    expect(await listTaps(name)).to.deep.equal([]);
    await rejects(createTap({ name: 'much-too-long-a-name' }), 'spec.tap_invalid');
    await rejects(createTap({ name, owner: -1 }), 'spec.invalid_value');
  });
});
