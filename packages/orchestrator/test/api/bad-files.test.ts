// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Answer, type Body, elf, machine, Orchestrator } from '../support/orchestrator.js';

const REMEDIES = {
  absent: 'Give the absolute path of a file that exists on the host.',
  irregular: 'Give the path of a regular file; of a symbolic link, give what it leads to.',
  format: 'Give the true format of the file, or another file.',
  convert: 'Give the format qcow2: it becomes raw when it is imported.',
  cut: 'Copy or download the file again; it is not complete.',
};

for (const hypervisor of ['fake', 'native']) {
  describe(`bad files and names, hypervisor ${hypervisor}`, () => refuseFiles(hypervisor));
}

function refuseFiles(hypervisor: string): void {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator().start({ FLOTILLA_HYPERVISOR: hypervisor });
    await flotilla.importImages();
  });
  after(() => flotilla.dispose());

  const importing = (image: Record<string, unknown>) =>
    flotilla.call('POST', '/v1/images', { body: { name: 'bad', ...image }, headers: { prefer: 'wait=20' } });
  const nothingLeft = async () => {
    const images = [...((await flotilla.call('GET', '/v1/images')).body['items'] ?? [])].map((one) => String(one['name']));
    expect(images).to.deep.equal(['k', 'd']);
    expect(flotilla.leftovers()).to.deep.equal([]);
  };

  const files: [what: string, content: Uint8Array | string, kind: string, format: string, code: string, field: string, remedy: string][] = [
    ['text as an ELF kernel', 'just some text', 'kernel', 'elf', 'image.format_mismatch', 'format', REMEDIES.format],
    ['text as a bzImage', 'just some text', 'kernel', 'bzimage', 'image.format_mismatch', 'format', REMEDIES.format],
    ['a truncated bzImage', cutBzImage(), 'kernel', 'bzimage', 'image.truncated', 'source.path', REMEDIES.cut],
    ['a truncated ELF kernel', cutElf(), 'kernel', 'elf', 'image.truncated', 'source.path', REMEDIES.cut],
    ['text as an initrd', 'just some text', 'initrd', 'initrd', 'image.format_mismatch', 'format', REMEDIES.format],
    [
      'a qcow2 image as a raw disk',
      Buffer.from('QFI\xfb\0\0\0\x03', 'latin1'),
      'disk',
      'raw',
      'image.format_mismatch',
      'format',
      REMEDIES.convert,
    ],
    ['an empty disk', '', 'disk', 'raw', 'image.truncated', 'source.path', REMEDIES.cut],
  ];
  for (const [what, content, kind, format, code, field, remedy] of files) {
    it(`refuses ${what} and keeps nothing of it`, async () => {
      const path = join(flotilla.directory, 'file');
      writeFileSync(path, content);
      expectFailed(await importing({ kind, format, source: { path } }), { code, status: 422, field, remedy });
      await nothingLeft();
    });

    it(`refuses ${what} as an upload and keeps nothing of it`, async () => {
      const answer = await fetch(`${flotilla.url}/v1/images/bad/content?kind=${kind}&format=${format}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${flotilla.key}`, 'content-type': 'application/octet-stream' },
        body: Buffer.from(content),
      });
      const problem = (await answer.json()) as Body;
      expect(answer.status).to.equal(422);
      expect(problem).to.include({ code, status: 422, remedy });
      expect(problem['field'], 'there is no path in an upload').to.equal(field === 'source.path' ? undefined : field);
      await nothingLeft();
    });
  }

  const paths: [what: string, path: () => string, code: string, remedy: string][] = [
    ['a file that is not there', () => join(flotilla.directory, 'absent'), 'file.missing', REMEDIES.absent],
    ['a directory', () => directory(), 'file.not_regular', REMEDIES.irregular],
    ['a device', () => '/dev/zero', 'file.not_regular', REMEDIES.irregular],
  ];
  for (const [what, path, code, remedy] of paths) {
    it(`refuses ${what} and keeps nothing of it`, async () => {
      const answer = await importing({ kind: 'disk', format: 'raw', source: { path: path() } });
      expectFailed(answer, { code, status: 422, field: 'source.path', remedy });
      await nothingLeft();
    });
  }
  const directory = () => {
    const path = join(flotilla.directory, 'directory');
    mkdirSync(path, { recursive: true });
    return path;
  };

  it('refuses a format that does not fit the kind, and a path that is not absolute', async () => {
    const misfit = await importing({ kind: 'disk', format: 'elf', source: { path: '/etc/hostname' } });
    expectRefused(misfit, {
      code: 'image.wrong_kind',
      status: 422,
      field: 'format',
      remedy: 'kernel: elf or bzimage; initrd: initrd; disk: raw, qcow2, vmdk, vhd, vhdx or vdi.',
    });
    const relative = await importing({ kind: 'disk', format: 'raw', source: { path: 'etc/hostname' } });
    expectRefused(relative, {
      code: 'request.invalid_value',
      status: 422,
      field: 'source.path',
      remedy: 'Give an absolute path, beginning with /.',
    });
    await nothingLeft();
  });

  it('refuses the name of an image twice', async () => {
    const path = join(flotilla.directory, 'disk');
    const expected = { code: 'image.name_taken', status: 409, field: 'name', remedy: 'Choose another name, or delete that image first.' };
    expectRefused(await importing({ name: 'd', kind: 'disk', format: 'raw', source: { path } }), expected);
    await nothingLeft();
  });

  it('refuses the name of a machine twice, and a disk that another machine holds', async () => {
    const still = { start: false, interfaces: [] };
    await flotilla.change('POST', '/v1/machines', machine('first', still));
    try {
      expectRefused(await flotilla.call('POST', '/v1/machines', { body: machine('first', still) }), {
        code: 'machine.name_taken',
        status: 409,
        field: 'name',
        remedy: 'Choose another name, or delete that machine first.',
      });
      const volume = (await flotilla.call('GET', '/v1/machines/first')).body['observed']?.['disks']?.[0]?.['volume'];
      const disks = [
        { name: 'own', image: 'd' },
        { name: 'root', volume },
      ];
      expectRefused(await flotilla.call('POST', '/v1/machines', { body: machine('second', { ...still, disks }) }), {
        code: 'volume.locked',
        status: 409,
        field: 'disks[1].volume',
        remedy: 'Detach it from that machine first, or give another volume.',
      });
      expect(flotilla.leftovers()).to.deep.equal([String(volume)]);
      expect((await flotilla.call('GET', '/v1/machines/second')).status).to.equal(404);
      expect((await flotilla.call('GET', '/v1/volumes')).body['items']).to.have.length(1);
    } finally {
      await flotilla.change('DELETE', '/v1/machines/first');
    }
    await nothingLeft();
  });
}

function expectRefused(answer: Answer, expected: { status: number } & Record<string, unknown>): void {
  expect(answer.body).to.include(expected);
  expect(answer.status).to.equal(expected.status);
}

function expectFailed(answer: Answer, expected: Record<string, unknown>): void {
  expect(answer.body['state']).to.equal('failed');
  expect(answer.body['error']).to.include(expected);
}

/** A Linux boot header that promises more than there is. */
function cutBzImage(): Buffer {
  const image = Buffer.alloc(4096);
  image.writeUInt32LE(0x53726448, 0x202);
  image.writeUInt16LE(0x020f, 0x206);
  image.writeUInt32LE(100_000, 0x1f4);
  return image;
}

/** An ELF header with a segment that ends behind the file. */
function cutElf(): Buffer {
  const image = elf();
  image.writeUInt16LE(1, 56);
  image.writeBigUInt64LE(1_000_000n, 64 + 32);
  return image;
}
