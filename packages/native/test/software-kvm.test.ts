// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';

import { checkHost, type Isolation, listWorkers, Machine } from '../src/index.js';
import { guest, scratch } from './support/host.js';
import { benchForEach, bootAndRead } from './support/machines.js';
import { rejects } from './support/rejects.js';

/** A bzImage of one setup sector and an empty payload (Linux `Documentation/arch/x86/boot.rst`). */
function bzImage(): Buffer {
  const image = Buffer.alloc(0x800);
  image.writeUInt8(1, 0x1f1); // setup_sects
  image.writeUInt32LE(64, 0x1f4); // syssize
  image.writeUInt16LE(0xaa55, 0x1fe); // boot_flag
  image.write('HdrS', 0x202);
  image.writeUInt16LE(0x20f, 0x206); // version
  image.writeUInt8(1, 0x211); // loadflags: LOADED_HIGH
  image.writeUInt32LE(0x7fff_ffff, 0x22c); // initrd_addr_max
  image.writeUInt32LE(0x20_0000, 0x230); // kernel_alignment
  image.writeUInt8(1, 0x234); // relocatable_kernel
  image.writeUInt16LE(1, 0x236); // xloadflags: XLF_KERNEL_64
  image.writeUInt32LE(2047, 0x238); // cmdline_size
  image.writeUInt32LE(0x20_0000, 0x258); // pref_address
  image.writeUInt32LE(0x10_0000, 0x260); // init_size
  return image;
}

for (const isolation of ['process', 'in-process'] satisfies Isolation[]) {
  describe(`An operating system on a KVM without hardware support, isolation ${isolation}`, function () {
    this.timeout(60_000);
    const bench = benchForEach(isolation);
    let folder: ReturnType<typeof scratch>;

    before(async function () {
      // With hardware support it boots.
      if ((await checkHost()).kvm.kind !== 'hardware') return;
      console.log('SKIPPED: this KVM has hardware support');
      this.skip();
    });
    beforeEach(() => {
      folder = scratch();
    });
    afterEach(() => folder.remove());

    const kernels: [string, () => Buffer][] = [
      ['a bzImage', bzImage],
      ['Linux in an ELF file', () => Buffer.concat([readFileSync(guest('hello')), Buffer.from('Linux version 6.12.0 ')])],
    ];
    for (const [name, make] of kernels) {
      it(`is refused as ${name}, and told where it would run`, async () => {
        const path = join(folder.path, 'kernel');
        writeFileSync(path, make());
        const options = bench.options('hello', { memory: 64 << 20, boot: { kernel: { path } } });
        const error = await rejects(Machine.create(options), 'kvm.unsupported');
        expect(error.message).to.include('no hardware support and cannot run an operating system');
        expect(error.remedy).to.include('flotilla doctor').and.to.include('lab');
        expect(await listWorkers(bench.runtimeDirectory)).to.deep.equal([]);
      });
    }

    it('leaves small programs alone', async () => {
      expect(await bootAndRead(await bench.create('hello'), 'hello\n')).to.equal('hello\n');
    });
  });
}
