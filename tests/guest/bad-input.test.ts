// SPDX-License-Identifier: Apache-2.0
import { request } from 'node:http';
import { json } from 'node:stream/consumers';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiError, type CreateMachine, type ImportImage, OperationError } from '@flotilla/sdk';
import { expect } from 'chai';
import { type Cloud, smallMachine } from './lib/cloud.js';
import { hostState } from './lib/host.js';
import { builtImages } from './lib/images.js';
import { imageFiles, machineFiles } from './lib/leftovers.js';
import { machineTraces, useCloud } from './lib/suite.js';

/** What a client learns of a refusal and may decide by. */
interface Refusal {
  readonly status: number | undefined;
  readonly code: string;
  readonly field: string | undefined;
  readonly remedy: string | undefined;
}

/** How `attempt` is refused, whether at once or by the operation that it began. */
async function refusal(attempt: PromiseLike<unknown>): Promise<Refusal> {
  try {
    await attempt;
  } catch (error) {
    if (!(error instanceof ApiError || error instanceof OperationError)) throw error;
    const { code, remedy, problem } = error;
    return { status: problem?.status, code, field: problem?.field, remedy };
  }
  throw new Error('It was accepted');
}

type Facts = Pick<ImportImage, 'kind' | 'format' | 'sha256'>;
const bzImage: Facts = { kind: 'kernel', format: 'bzimage' };
const disk: Facts = { kind: 'disk', format: 'raw' };

const remedies = {
  file: 'Give the absolute path of a file that exists on the host.',
  regular: 'Give the path of a regular file; of a symbolic link, give what it leads to.',
  format: 'Give the true format of the file, or another file.',
  truncated: 'Copy or download the file again; it is not complete.',
  checksum: 'Get the file again, or give the right sha256.',
  image: 'Import it first (POST /v1/images), or list the images to see which there are.',
  memory: 'Give a whole number of at least 16 and at most 67108864, a multiple of 2.',
  cpus: 'Give a whole number of at least 1 and at most 64.',
  mac: 'Give six pairs of hexadecimal digits with colons; the lowest bit of the first pair must be 0.',
  sectors: 'Use a disk image, or a volume, whose length is not zero and a multiple of 512 bytes and of the blockSize of the disk.',
  name: 'Choose another name, or delete that machine first.',
  volume: 'Detach it from that machine first, or give another volume.',
};

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

  type BadImage = readonly [what: string, image: Facts, file: string, code: string, field: string, remedy: string];
  const images: readonly BadImage[] = [
    ['a kernel that is not there', bzImage, 'absent', 'file.missing', 'source.path', remedies.file],
    ['a directory as a kernel', bzImage, 'directory', 'file.not_regular', 'source.path', remedies.regular],
    ['text as a kernel', bzImage, 'text', 'image.format_mismatch', 'format', remedies.format],
    ['text as an ELF kernel', { kind: 'kernel', format: 'elf' }, 'text', 'image.format_mismatch', 'format', remedies.format],
    ['a truncated bzImage', bzImage, 'truncated', 'image.truncated', 'source.path', remedies.truncated],
    ['a disk that is not there', disk, 'absent', 'file.missing', 'source.path', remedies.file],
    ['a disk of another checksum', { ...disk, sha256: 'ab'.repeat(32) }, 'text', 'image.checksum_mismatch', 'sha256', remedies.checksum],
  ];
  for (const [what, image, name, code, field, remedy] of images) {
    it(`refuses ${what}, and keeps no image`, async () => {
      const refused = await refusal(cloud().client.images.import({ name: 'bad', ...image, source: { path: join(folder, name) } }));
      expect(refused).to.deep.equal({ status: 422, code, field, remedy });
      const kept = await cloud().client.images.list().all();
      expect(kept.map((one) => one.name)).to.have.members(['small', 'small-init']);
      expect(imageFiles(cloud().places)).to.deep.equal(kept.map(({ id }) => id).sort());
    });
  }

  type BadMachine = readonly [what: string, change: Record<string, unknown>, code: string, field: string, remedy: string | RegExp];
  const interfaces = [{ name: 'eth0', network: 'default', mac: 'zz:00:00:00:00:01' }];
  const machines: readonly BadMachine[] = [
    ['no memory', { memoryMiB: 0 }, 'spec.memory_too_small', 'memoryMiB', remedies.memory],
    ['more memory than the host has', { memoryMiB: 1024 * 1024 }, 'spec.memory_too_large', 'memoryMiB', /^Give at most \d+ MiB\.$/],
    ['no CPU', { cpus: 0 }, 'spec.cpus_out_of_range', 'cpus', remedies.cpus],
    ['1,000 CPUs', { cpus: 1000 }, 'spec.cpus_out_of_range', 'cpus', remedies.cpus],
    ['a field nobody knows', { colour: 'red' }, 'request.unknown_field', 'colour', 'Remove it, or check its spelling.'],
    ['a text where a number belongs', { cpus: '2' }, 'request.invalid_type', 'cpus', remedies.cpus],
    ['a MAC that is none', { interfaces }, 'spec.mac_invalid', 'interfaces[0].mac', remedies.mac],
    ['a kernel image nobody imported', { boot: { kernel: 'nothing' } }, 'image.not_found', 'boot.kernel', remedies.image],
  ];
  for (const [what, change, code, field, remedy] of machines) {
    it(`refuses a machine with ${what}, and holds nothing for it`, async () => {
      const before = hostState();
      const refused = await refusal(cloud().client.machines.create({ ...smallMachine('bad'), ...change } as CreateMachine));
      expect(refused).to.include({ status: 422, code, field });
      if (typeof remedy === 'string') expect(refused.remedy).to.equal(remedy);
      else expect(refused.remedy).to.match(remedy);
      expect(hostState()).to.deep.equal(before);
      expect(machineFiles(cloud().places)).to.deep.equal([]);
      expect(await cloud().client.machines.list({ name: 'bad' }).all()).to.have.length(0);
    });
  }

  it('refuses a disk whose length is no whole number of sectors, and holds nothing for it', async () => {
    const before = machineTraces(hostState());
    await cloud().client.images.import({ name: 'odd', kind: 'disk', format: 'raw', source: { path: join(folder, 'odd.raw') } });
    const refused = await refusal(cloud().client.machines.create(smallMachine('bad', '', { disks: [{ name: 'data', image: 'odd' }] })));
    expect(refused).to.deep.equal({ status: 422, code: 'disk.size', field: 'disks[0]', remedy: remedies.sectors });
    expect(machineTraces(hostState())).to.deep.equal(before);
    expect(machineFiles(cloud().places)).to.deep.equal([]);
    expect(await cloud().client.machines.list({ name: 'bad' }).all()).to.have.length(0);
    await cloud().client.images.delete('odd');
  });

  it('refuses a second machine of the same name', async () => {
    const machine = await cloud().client.machines.create(smallMachine('twin', '', { start: false }));
    const refused = await refusal(cloud().client.machines.create(smallMachine('twin')));
    expect(refused).to.deep.equal({ status: 409, code: 'machine.name_taken', field: 'name', remedy: remedies.name });
    await machine.delete();
  });

  it('refuses a volume that another machine holds', async () => {
    const first = await cloud().client.machines.create(smallMachine('holder', '', { start: false, disks: [{ name: 'data', sizeMiB: 8 }] }));
    const volume = first.data.observed.disks[0]?.volume ?? '';
    const refused = await refusal(cloud().client.machines.create(smallMachine('thief', '', { disks: [{ name: 'data', volume }] })));
    expect(refused).to.deep.equal({ status: 409, code: 'volume.locked', field: 'disks[0].volume', remedy: remedies.volume });
    await first.delete();
  });

  it('refuses a body of 100 MB and JSON that is none, and stays up', async () => {
    const large = Buffer.alloc(100_000_000, 'x');
    expect(await post(cloud(), large)).to.deep.equal({ status: 413, code: 'request.too_large' });
    expect(await post(cloud(), Buffer.from('{"name":'))).to.deep.equal({ status: 400, code: 'request.malformed' });
  });
});

/** The answer to a body for a new machine. A connection that breaks before the whole answer was read is an error. */
function post({ url, apiKey }: Cloud, body: Buffer): Promise<{ status: number | undefined; code: string }> {
  const headers = { 'content-type': 'application/json', 'content-length': body.length, authorization: `Bearer ${apiKey}` };
  return new Promise((resolve, reject) => {
    const sent = request(`${url}/v1/machines`, { method: 'POST', headers }, (response) => {
      json(response).then((problem) => {
        resolve({ status: response.statusCode, code: (problem as { code: string }).code });
        sent.destroy();
      }, reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
