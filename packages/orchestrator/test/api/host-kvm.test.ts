// SPDX-License-Identifier: Apache-2.0
import { accessSync, chmodSync, chownSync, constants, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Body, elf, Orchestrator } from '../support/orchestrator.js';

// Each case has a /dev of its own in a mount namespace of its own: that of the host, and its /dev/kvm, are not touched.
const PRIVATE_DEV = `set -e
kind=$1 dev=$2; shift 2
mount -t tmpfs -o mode=755 flotilla-test "$dev"
for name in null zero full random urandom tty; do touch "$dev/$name"; mount --bind "/dev/$name" "$dev/$name"; done
if [ "$kind" = locked ]; then mknod -m 600 "$dev/kvm" c 10 232; fi
mount --rbind "$dev" /dev
exec "$@"`;
const NOBODY = 65534;
const AS_NOBODY = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
const ISOLATIONS = ['process', 'in-process'];

/** What a refused create leaves: nothing but the operation that tells why. */
async function expectRefused(flotilla: Orchestrator, kernel: string, isolation: string, expected: Record<string, unknown>): Promise<Body> {
  const body = { name: 'm', isolation, cpus: 1, memoryMiB: 64, boot: { kernel }, disks: [{ name: 'root', sizeMiB: 1 }], interfaces: [] };
  const answer = await flotilla.call('POST', '/v1/machines', { body, headers: { prefer: 'wait=30' } });
  expect(answer.body['state'], JSON.stringify(answer.body)).to.equal('failed');
  const error = answer.body['error'] as Body;
  expect(error).to.include({ status: 503, ...expected });
  expect(error['remedy']).to.contain('flotilla doctor');
  expect([...(answer.body['steps'] ?? [])].map((step) => `${step['name']} ${step['state']}`)).to.deep.equal([
    'volumes undone',
    'network succeeded',
    'taps undone',
    'worker failed',
    'boot skipped',
    'observe skipped',
  ]);
  for (const path of ['/v1/machines', '/v1/volumes']) expect([...((await flotilla.call('GET', path)).body['items'] ?? [])]).to.be.empty;
  expect(flotilla.leftovers()).to.deep.equal([]);
  expect(workersOf(flotilla)).to.deep.equal([]);
  return error;
}

/** What the runtime directory has of any machine. */
function workersOf(flotilla: Orchestrator): string[] {
  return readdirSync(join(flotilla.directory, 'run'), { encoding: 'utf8', recursive: true }).filter((name) => name.includes('mac-'));
}

async function importKernel(flotilla: Orchestrator, name: string, format: string, content: Buffer): Promise<void> {
  const path = join(flotilla.directory, name);
  writeFileSync(path, content);
  await flotilla.change('POST', '/v1/images', { name, kind: 'kernel', format, source: { path } });
}

describe('a host whose /dev/kvm', function () {
  this.timeout(60_000);
  let flotilla: Orchestrator;

  before(function () {
    if (process.getuid?.() !== 0) {
      console.log('SKIPPED: mount namespaces need root');
      this.skip();
    }
  });
  afterEach(() => flotilla?.dispose());

  const start = async (kind: 'absent' | 'locked', as: string[]) => {
    flotilla = new Orchestrator();
    const { directory } = flotilla;
    for (const name of ['dev', 'data', 'run']) mkdirSync(join(directory, name), { mode: 0o700 });
    for (const name of ['', 'data', 'run']) chownSync(join(directory, name), as.length > 0 ? NOBODY : 0, 0);
    chmodSync(directory, 0o755);
    flotilla.through = ['unshare', '--mount', 'sh', '-c', PRIVATE_DEV, 'sh', kind, join(directory, 'dev'), ...as];
    await flotilla.start({ FLOTILLA_HYPERVISOR: 'native' });
    await importKernel(flotilla, 'k', 'elf', elf());
  };

  for (const isolation of ISOLATIONS) {
    it(`is not there refuses a machine, ${isolation}, and leaves nothing of it`, async () => {
      await start('absent', []);
      const error = await expectRefused(flotilla, 'k', isolation, { code: 'host.kvm_missing' });
      expect(error['detail']).to.contain('/dev/kvm');
      expect(error['remedy']).to.contain('npm run lab');
      const host = (await flotilla.call('GET', '/v1/hosts')).body['items']?.[0];
      expect(host?.['kvm']).to.include({ kind: 'none' });
    });

    it(`may not be opened refuses a machine, ${isolation}, and leaves nothing of it`, async () => {
      await start('locked', AS_NOBODY);
      const error = await expectRefused(flotilla, 'k', isolation, { code: 'host.kvm_denied' });
      expect(error['detail'])
        .to.contain('/dev/kvm')
        .and.to.match(/permission|denied/i);
      expect(error['remedy']).to.contain('group kvm');
    });
  }
});

describe('a host whose KVM has no hardware support', function () {
  this.timeout(60_000);
  let flotilla: Orchestrator;

  before(async function () {
    try {
      accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    } catch (error) {
      if (process.env['REQUIRE_KVM'] === '1') throw error;
      console.log('SKIPPED: no usable /dev/kvm');
      this.skip();
    }
    flotilla = await new Orchestrator().start({ FLOTILLA_HYPERVISOR: 'native' });
    const host = (await flotilla.call('GET', '/v1/hosts')).body['items']?.[0];
    if (String(host?.['kvm']?.['kind']) !== 'software') this.skip(); // this one runs Linux
    await importKernel(flotilla, 'bz', 'bzimage', bzImage());
    await importKernel(flotilla, 'vmlinux', 'elf', vmlinux());
  });
  after(() => flotilla?.dispose());

  for (const isolation of ISOLATIONS) {
    for (const kernel of ['bz', 'vmlinux']) {
      it(`refuses the Linux kernel ${kernel}, ${isolation}, and says where it would run`, async () => {
        const error = await expectRefused(flotilla, kernel, isolation, { code: 'host.kvm_unsupported' });
        expect(error['detail']).to.contain('no hardware support');
        expect(error['remedy']).to.contain('npm run lab');
      });
    }
  }
});

/** The setup header of a Linux kernel with a 64-bit entry (Linux Documentation/arch/x86/boot.rst), and nothing to run. */
function bzImage(): Buffer {
  const image = Buffer.alloc(16 * 1024);
  image[0x1f1] = 4; // setup_sects
  image.writeUInt32LE((image.length - 5 * 512) / 16, 0x1f4); // syssize
  image.writeUInt16LE(0xaa55, 0x1fe); // boot_flag
  image.write('HdrS', 0x202, 'latin1');
  image.writeUInt16LE(0x020f, 0x206); // version
  image[0x211] = 1; // loadflags: LOADED_HIGH
  image[0x234] = 1; // relocatable_kernel
  image.writeUInt16LE(1, 0x236); // xloadflags: XLF_KERNEL_64
  image.writeBigUInt64LE(0x100_0000n, 0x258); // pref_address
  image.writeUInt32LE(1 << 20, 0x260); // init_size
  return image;
}

/** An ELF kernel of one segment that tells what it is as Linux does. */
function vmlinux(): Buffer {
  const image = elf();
  image.writeUInt16LE(2, 16); // an executable
  image.writeBigUInt64LE(0x10_0000n, 24); // entry
  image.writeUInt16LE(64, 52);
  image.writeUInt16LE(1, 56); // one program header
  image.writeUInt32LE(1, 64); // PT_LOAD
  image.writeBigUInt64LE(1024n, 72); // offset
  for (const at of [80, 88]) image.writeBigUInt64LE(0x10_0000n, at); // addresses
  for (const at of [96, 104]) image.writeBigUInt64LE(2048n, at); // sizes
  image.write('Linux version 6.1.0', 2048, 'latin1');
  return image;
}
