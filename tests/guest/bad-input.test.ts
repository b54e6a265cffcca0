// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CreateMachine, FlotillaError, ImportImage } from '@flotilla/sdk';
import { expect } from 'chai';
import { smallMachine } from './lib/cloud.js';
import { hostState } from './lib/host.js';
import { builtImages } from './lib/images.js';
import { useCloud } from './lib/suite.js';

type Refusal = FlotillaError & { readonly field?: string };

async function refusal(attempt: PromiseLike<unknown>): Promise<Refusal> {
  try {
    await attempt;
  } catch (error) {
    return error as Refusal;
  }
  throw new Error('It was accepted');
}

describe('Bad input', () => {
  const cloud = useCloud();
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'flotilla-bad-'));
    mkdirSync(join(folder, 'directory'));
    writeFileSync(join(folder, 'text'), 'this is no kernel\n'.repeat(1000));
    writeFileSync(join(folder, 'truncated'), readFileSync(builtImages().kernel.bzImage).subarray(0, 100_000));
    writeFileSync(join(folder, 'odd.raw'), 'x'.repeat(1000));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const images: Array<readonly [string, Pick<ImportImage, 'kind' | 'format'>, string, readonly string[]]> = [
    ['a kernel that is not there', { kind: 'kernel', format: 'bzimage' }, 'absent', ['file.missing']],
    ['a directory as a kernel', { kind: 'kernel', format: 'bzimage' }, 'directory', ['file.not_regular']],
    ['text as a kernel', { kind: 'kernel', format: 'bzimage' }, 'text', ['image.format_mismatch', 'kernel.unrecognised']],
    ['text as an ELF kernel', { kind: 'kernel', format: 'elf' }, 'text', ['image.format_mismatch', 'kernel.unrecognised']],
    ['a truncated bzImage', { kind: 'kernel', format: 'bzimage' }, 'truncated', ['image.truncated', 'kernel.truncated']],
    ['a disk that is not there', { kind: 'disk', format: 'raw' }, 'absent', ['file.missing']],
  ];
  for (const [what, image, name, codes] of images) {
    it(`refuses ${what}, and keeps no image`, async () => {
      const error = await refusal(cloud().client.images.import({ name: 'bad', ...image, source: { path: join(folder, name) } }));
      expect(error.code).to.be.oneOf(codes);
      expect(error.remedy).to.be.a('string').and.not.equal('');
      expect((await cloud().client.images.list({ name: 'bad' })).items.filter(({ state }) => state === 'ready')).to.have.length(0);
      await cloud()
        .client.images.delete('bad')
        .then(undefined, () => undefined);
    });
  }

  it('refuses an image whose checksum is not the one expected', async () => {
    const sha256 = 'ab'.repeat(32);
    const error = await refusal(
      cloud().client.images.import({ name: 'bad', kind: 'kernel', format: 'elf', sha256, source: { path: builtImages().kernel.vmlinux } }),
    );
    expect(error.code).to.equal('image.checksum_mismatch');
    await cloud()
      .client.images.delete('bad')
      .then(undefined, () => undefined);
  });

  const machines: Array<readonly [string, Record<string, unknown>, string, string]> = [
    ['no memory', { memoryMiB: 0 }, 'spec.memory_too_small', 'memoryMiB'],
    ['more memory than the host has', { memoryMiB: 1024 * 1024 }, 'spec.memory_too_large', 'memoryMiB'],
    ['no CPU', { cpus: 0 }, 'spec.cpus_out_of_range', 'cpus'],
    ['1,000 CPUs', { cpus: 1000 }, 'spec.cpus_out_of_range', 'cpus'],
    ['a field nobody knows', { colour: 'red' }, 'request.unknown_field', 'colour'],
    ['a text where a number belongs', { cpus: '2' }, 'request.invalid_type', 'cpus'],
    ['a MAC that is none', { interfaces: [{ name: 'eth0', network: 'default', mac: 'zz:00:00:00:00:01' }] }, 'spec.mac_invalid', 'mac'],
    ['a kernel image nobody imported', { boot: { kernel: 'nothing' } }, 'image.not_found', 'boot.kernel'],
  ];
  for (const [what, change, code, field] of machines) {
    it(`refuses a machine with ${what}, and holds nothing for it`, async () => {
      const before = hostState();
      const error = await refusal(cloud().client.machines.create({ ...smallMachine('bad'), ...change } as CreateMachine));
      expect(error.code).to.equal(code);
      expect(error.field).to.contain(field);
      expect(error.remedy).to.be.a('string').and.not.equal('');
      expect(hostState()).to.deep.equal(before);
      expect(await cloud().client.machines.list({ name: 'bad' }).all()).to.have.length(0);
    });
  }

  it('refuses a second machine of the same name', async () => {
    const machine = await cloud().client.machines.create(smallMachine('twin', '', { start: false }));
    expect((await refusal(cloud().client.machines.create(smallMachine('twin')))).code).to.equal('machine.name_taken');
    await machine.delete();
  });

  it('refuses a volume that another machine holds', async () => {
    const first = await cloud().client.machines.create(smallMachine('holder', '', { start: false, disks: [{ name: 'data', sizeMiB: 8 }] }));
    const volume = first.data.observed.disks[0]?.volume ?? '';
    const error = await refusal(cloud().client.machines.create(smallMachine('thief', '', { disks: [{ name: 'data', volume }] })));
    expect(error.code).to.equal('volume.locked');
    await first.delete();
  });

  it('refuses a body of 100 MB and JSON that is none, and stays up', async () => {
    const send = (body: string): Promise<Response> =>
      fetch(`${cloud().url}/v1/machines`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', authorization: `Bearer ${cloud().apiKey}` },
      });
    const large = await send(`"${'x'.repeat(100_000_000)}"`).catch(() => undefined);
    if (large !== undefined)
      expect([large.status, ((await large.json()) as { code: string }).code]).to.deep.equal([413, 'request.too_large']);
    const malformed = await send('{"name":');
    expect([malformed.status, ((await malformed.json()) as { code: string }).code]).to.deep.equal([400, 'request.malformed']);
  });
});
