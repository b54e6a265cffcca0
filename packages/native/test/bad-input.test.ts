// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';

import { type CreateOptions, type ErrorCode, type Isolation, listWorkers, Machine, type MachineSpec } from '../src/index.js';
import { guest } from './support/host.js';
import { benchForEach } from './support/machines.js';
import { rejects } from './support/rejects.js';

type Change = (spec: MachineSpec, folder: string) => unknown;
type Row = [what: string, code: ErrorCode, field: string | undefined, change: Change];

const kernel =
  (path: string): Change =>
  (spec) => ({ ...spec, boot: { kernel: { path } } });
const written =
  (content: string | Uint8Array): Change =>
  (spec, folder) => {
    const path = join(folder, 'kernel');
    writeFileSync(path, content);
    return { ...spec, boot: { kernel: { path } } };
  };
const disk =
  (extra: object): Change =>
  (spec) => ({ ...spec, disks: [{ id: 'a', format: 'raw', source: { path: '/nonexistent' }, ...extra }] });

/** A setup header of a bzImage that promises a megabyte. */
function truncatedBzImage(): Uint8Array {
  const image = Buffer.alloc(4096);
  image[0x1f1] = 4;
  image.writeUInt32LE(65_536, 0x1f4);
  image.writeUInt16LE(0xaa55, 0x1fe);
  image.write('HdrS', 0x202, 'latin1');
  image.writeUInt16LE(0x020f, 0x206);
  image[0x211] = 1;
  image.writeUInt16LE(1, 0x236);
  return image;
}

const rows: Row[] = [
  ['a missing kernel', 'file.missing', '$.boot.kernel', kernel('/nonexistent')],
  ['a directory as kernel', 'file.not_regular', '$.boot.kernel', kernel('/etc')],
  ['a device as kernel', 'file.not_regular', '$.boot.kernel', kernel('/dev/zero')],
  ['text as kernel', 'kernel.unrecognised', '$.boot.kernel', written('no kernel\n'.repeat(100))],
  ['an empty kernel', 'kernel.unrecognised', '$.boot.kernel', written('')],
  ['a truncated bzImage', 'kernel.truncated', '$.boot.kernel', written(truncatedBzImage())],
  ['an absent disk', 'file.missing', '$.disks[0].source', disk({})],
  ['a directory as disk', 'file.not_regular', '$.disks[0].source', disk({ source: { path: '/etc' } })],
  ['a disk of unknown format', 'spec.invalid_value', '$.disks[0].format', disk({ format: 'qcow7' })],
  [
    'two disks with one id',
    'spec.id_duplicate',
    '$.disks[1].id',
    (spec) => ({ ...spec, disks: [0, 1].map(() => ({ id: 'a', format: 'raw', source: { path: '/x' } })) }),
  ],
  ['no memory', 'spec.memory_too_small', '$.memory', (spec) => ({ ...spec, memory: 0 })],
  ['memory that is no whole number of pages', 'spec.memory_unaligned', '$.memory', (spec) => ({ ...spec, memory: (16 << 20) + 1 })],
  ['more memory than the host has', 'spec.memory_too_large', '$.memory', (spec) => ({ ...spec, memory: 2 ** 52 })],
  ['memory beyond exact numbers', 'spec.invalid_value', '$.memory', (spec) => ({ ...spec, memory: 1e300 })],
  ['memory as text', 'spec.invalid_type', '$.memory', (spec) => ({ ...spec, memory: '16 MiB' })],
  ['memory that is no number', 'spec.invalid_value', '$.memory', (spec) => ({ ...spec, memory: Number.NaN })],
  ['memory as BigInt', 'spec.invalid_type', '$.memory', (spec) => ({ ...spec, memory: 16n })],
  ['no CPU', 'spec.cpus_out_of_range', '$.cpus', (spec) => ({ ...spec, cpus: 0 })],
  ['a thousand CPUs', 'spec.cpus_out_of_range', '$.cpus', (spec) => ({ ...spec, cpus: 1000 })],
  ['an unknown field', 'spec.unknown_field', '$.colour', (spec) => ({ ...spec, colour: 'red' })],
  ['no boot', 'spec.missing_field', '$.boot', ({ cpus, memory }) => ({ cpus, memory })],
  [
    'a bad MAC address',
    'spec.mac_invalid',
    '$.interfaces[0].mac',
    (spec) => ({ ...spec, interfaces: [{ id: 'a', tap: { name: 'tap0' }, mac: '01:00:00:00:00:00' }] }),
  ],
  ['a missing tap', 'tap.missing', '$.interfaces[0].tap', (spec) => ({ ...spec, interfaces: [{ id: 'a', tap: { name: 'no-such-tap' } }] })],
  ['no object at all', 'spec.invalid_type', '$', () => 'boot!'],
];

for (const isolation of ['process', 'in-process'] satisfies Isolation[]) {
  describe(`Bad input, isolation ${isolation}`, () => {
    const bench = benchForEach(isolation);

    const refuses = async (change: (options: CreateOptions, folder: string) => unknown, code: ErrorCode, field?: string): Promise<void> => {
      const folder = join(bench.runtimeDirectory, 'input');
      mkdirSync(folder, { recursive: true });
      const options = change(bench.options('idle'), folder) as CreateOptions;
      const descriptors = readdirSync('/proc/self/fd').length;
      const error = await rejects(Machine.create(options), code);
      if (field !== undefined) expect(error.field).to.equal(field);
      expect(await listWorkers(bench.runtimeDirectory), 'nothing is left').to.deep.equal([]);
      expect(readdirSync('/proc/self/fd').length).to.be.at.most(descriptors + 2);
    };

    for (const [what, code, field, change] of rows) {
      it(`refuses ${what}: ${code}`, () => refuses((options, folder) => ({ ...options, spec: change(options.spec, folder) }), code, field));
    }

    it('names every fault at once', async () => {
      const options = bench.options('idle');
      const error = await rejects(Machine.create({ ...options, spec: { ...options.spec, cpus: 0, memory: 1 } }), 'spec.cpus_out_of_range');
      const codes = error.details?.violations?.map((violation) => violation.code);
      expect(codes).to.include.members(['spec.cpus_out_of_range', 'spec.memory_too_small']);
    });

    it('refuses ids that are no file names: spec.id_invalid', async () => {
      for (const id of ['../x', 'a/b', '.hidden', 'x'.repeat(65)]) {
        await refuses((options) => ({ ...options, id }), 'spec.id_invalid');
      }
      await refuses((options) => ({ ...options, id: '' }), 'spec.invalid_type');
    });

    it('refuses an isolation that does not exist: spec.invalid_value', () =>
      refuses((options) => ({ ...options, isolation: 'none' }), 'spec.invalid_value', '$.isolation'));

    it('refuses a disk that another machine writes: disk.locked', async () => {
      const path = join(bench.runtimeDirectory, 'disk.raw');
      writeFileSync(path, Buffer.alloc(1 << 20));
      const disks = [{ id: 'a', format: 'raw' as const, source: { path } }];
      const holder = await bench.create('idle', { disks });
      const options = bench.options('idle', { disks });
      const error = await rejects(Machine.create(options), 'disk.locked');
      expect(error.field).to.equal('$.disks[0].source');
      await holder.kill();
      bench.keep(await Machine.create(options));
    });
  });
}

describe('A worker program that cannot be used', () => {
  const bench = benchForEach('process');

  it('is an error that leaves nothing', async () => {
    const script = join(bench.runtimeDirectory, 'worker');
    writeFileSync(script, '#!/bin/sh\necho "no, thanks" >&2\nexit 3\n', { mode: 0o700 });
    await rejects(Machine.create({ ...bench.options('idle'), workerPath: '/nonexistent' }), 'file.missing');
    await rejects(Machine.create({ ...bench.options('idle'), workerPath: guest('idle') }), 'file.denied');
    const error = await rejects(Machine.create({ ...bench.options('idle'), workerPath: script }), 'worker.gone');
    expect(error.message).to.include('no, thanks');
    expect(await listWorkers(bench.runtimeDirectory)).to.deep.equal([]);
  });
});
