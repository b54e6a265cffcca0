// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { FileTools } from '../../src/agent/files/file-tools.js';
import { NodeFileTools } from '../../src/agent/files/node-file-tools.js';
import { loadNative } from '../../src/agent/hypervisor/native/load.js';
import { NativeFileTools } from '../../src/agent/hypervisor/native/native-file-tools.js';
import { DirPool } from '../../src/agent/storage/dir/dir-pool.js';
import { ApiError } from '../../src/common/api-error.js';
import { type Body, machine, Orchestrator } from '../support/orchestrator.js';

const MEBIBYTE = 1024 * 1024;
/** The database has its place in it too. */
const DISK_BYTES = 8 * MEBIBYTE;
/** What no image may take of it. */
const KEPT_BYTES = DISK_BYTES / 16;
const REMEDY = 'Free space on the file system of the data directory, or delete images and machines that are no longer needed.';

for (const hypervisor of ['fake', 'native']) {
  /** The data directory on a file system of its own, a small one. */
  describe(`a full disk, hypervisor ${hypervisor}`, () => whenFull(hypervisor));
}

function whenFull(hypervisor: string): void {
  let flotilla: Orchestrator;
  let data: string;
  let mounted = false;

  before(async function () {
    if (process.getuid?.() !== 0) {
      console.log('SKIPPED: mounting needs root');
      this.skip();
    }
    flotilla = new Orchestrator();
    data = join(flotilla.directory, 'data');
    mkdirSync(data, { mode: 0o700 });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES},mode=700`, 'flotilla-test', data]);
    mounted = true;
    await flotilla.start({ FLOTILLA_HYPERVISOR: hypervisor });
    await flotilla.importImages();
  });

  after(async () => {
    await flotilla?.stop();
    if (mounted) execFileSync('umount', [data]);
    await flotilla?.dispose();
  });

  afterEach(() => {
    for (const name of ['filler', 'more']) rmSync(join(data, name), { force: true });
  });

  /** Takes all but so many bytes of the disk. */
  const fill = (leave: number, name = 'filler') => {
    const { bavail, bsize } = statfsSync(data);
    const file = openSync(join(data, name), 'w');
    writeSync(file, Buffer.alloc(Math.max(0, bavail * bsize - leave), 1));
    fsyncSync(file);
    closeSync(file);
  };
  const file = (name: string, bytes: number) => {
    const path = join(flotilla.directory, name);
    writeFileSync(path, Buffer.alloc(bytes, 5));
    return path;
  };
  const images = () => readdirSync(join(data, 'host/pools/default/images')).length;
  const names = async (path: string) => [...((await flotilla.call('GET', path)).body['items'] ?? [])].map((one) => String(one['name']));
  const nothingLeft = async () => {
    expect(images(), 'files of images').to.equal(2);
    expect(await names('/v1/images')).to.deep.equal(['k', 'd']);
    expect(await names('/v1/machines')).to.deep.equal([]);
    expect(await names('/v1/volumes')).to.deep.equal([]);
    await flotilla.waitFor('nothing is left', async () => flotilla.leftovers().length === 0);
  };
  const failed = async (path: string, body: unknown): Promise<Body> => {
    const answer = await flotilla.call('POST', path, { body, headers: { prefer: 'wait=60' } });
    expect(answer.body['state'], JSON.stringify(answer.body)).to.equal('failed');
    return answer.body['error'] as Body;
  };
  const put = (name: string, bytes: number) =>
    fetch(`${flotilla.url}/v1/images/${name}/content?kind=disk&format=raw`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${flotilla.key}`, 'content-type': 'application/octet-stream' },
      body: Buffer.alloc(bytes, 5),
    });

  it('refuses an import by path that is too large, and keeps nothing of it', async () => {
    const path = file('large', 2 * DISK_BYTES);
    const error = await failed('/v1/images', { name: 'large', kind: 'disk', format: 'raw', source: { path } });
    expect(error).to.include({ code: 'pool.full', status: 507, field: 'source.path', remedy: REMEDY });
    expect(error['detail']).to.contain(`${2 * DISK_BYTES} are needed`);
    await nothingLeft();
  });

  it('refuses an upload in the middle of it, and keeps nothing of it', async () => {
    const answer = await put('large', 2 * DISK_BYTES);
    const problem = (await answer.json()) as Body;
    expect(answer.status).to.equal(507);
    expect(answer.headers.get('content-type')).to.contain('application/problem+json');
    expect(problem).to.include({ code: 'pool.full', status: 507, remedy: REMEDY });
    await nothingLeft();
  });

  it('can be managed while an upload has taken all that it may', async () => {
    const made = await flotilla.call('POST', '/v1/keys', { body: { name: 'filler', role: 'operator' } });
    const stop = new AbortController();
    let least = Infinity;
    const { status } = await fetch(`${flotilla.url}/v1/images/endless/content?kind=disk&format=raw`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${made.body['secret']}`, 'content-type': 'application/octet-stream' },
      signal: stop.signal,
      duplex: 'half',
      body: (async function* () {
        for (let sent = 0; sent < 2 * DISK_BYTES; sent += 64 * 1024) {
          const { bavail, bsize } = statfsSync(data);
          least = Math.min(least, bavail * bsize);
          yield Buffer.alloc(64 * 1024, 5);
        }
      })(),
    } as RequestInit);
    expect(status).to.equal(507);
    expect(least, 'bytes free at the worst moment').to.be.above(KEPT_BYTES / 2);
    fill(KEPT_BYTES * 0.75);
    expect((await put('tiny', 512)).status, 'nothing more is taken').to.equal(507);
    expect((await flotilla.call('DELETE', '/v1/keys/filler')).status, 'and the administrator can act').to.equal(204);
    rmSync(join(data, 'filler'));
    await nothingLeft();
  });

  it('refuses a machine whose disk has no place, and takes back what it had made', async () => {
    const disk = { name: 'three', kind: 'disk', format: 'raw', source: { path: file('three', MEBIBYTE) } };
    await flotilla.change('POST', '/v1/images', disk);
    try {
      fill(KEPT_BYTES + MEBIBYTE * 1.5);
      const disks = ['one', 'two'].map((name) => ({ name, image: 'three' }));
      const error = await failed('/v1/machines', machine('fat', { disks }));
      expect(error).to.include({ code: 'pool.full', status: 507, field: 'disks[1].image', remedy: REMEDY });
      expect((await flotilla.call('GET', '/v1/machines/fat')).status).to.equal(404);
    } finally {
      await flotilla.change('DELETE', '/v1/images/three');
    }
    await nothingLeft();
  });

  // What is imported here boots on the fake alone.
  const onFake = hypervisor === 'fake' ? it : () => undefined;
  onFake('works again once there is space', async () => {
    expect((await put('fits', MEBIBYTE)).status).to.equal(201);
    await flotilla.change('POST', '/v1/machines', machine('fits', { disks: [{ name: 'root', image: 'fits' }] }));
    await flotilla.change('DELETE', '/v1/machines/fits?force=true');
    await flotilla.change('DELETE', '/v1/images/fits');
    await nothingLeft();
  });

  it('of which nothing is left, database included, loses nothing and is told as what it is', async () => {
    fill(0);
    fill(0, 'more');
    const path = file('small', 64 * 1024);
    const answer = await flotilla.call('POST', '/v1/images', {
      body: { name: 'small', kind: 'disk', format: 'raw', source: { path } },
      headers: { prefer: 'wait=20' },
    });
    const many = ['a', 'b', 'c', 'd2', 'e'].map((name) =>
      flotilla.call('POST', '/v1/images', { body: { name, kind: 'disk', format: 'raw', source: { path } } }),
    );
    for (const one of await Promise.all(many)) expect([one.status, one.body['code']]).to.deep.equal([507, 'pool.full']);
    // Either the request finds no place for its operation, or the operation none for its file.
    const problem = answer.status < 400 ? answer.body['error'] : answer.body;
    expect(problem).to.include({ code: 'pool.full', status: 507, remedy: REMEDY });
    expect((await flotilla.call('GET', '/health/live', { key: null })).status).to.equal(200);
    expect(existsSync(join(data, 'filler'))).to.equal(true);
    for (const name of ['filler', 'more']) rmSync(join(data, name), { force: true });
    await flotilla.waitFor('writes are taken again', async () => (await names('/v1/images')).length === 2);
    await flotilla.change('POST', '/v1/images', { name: 'small', kind: 'disk', format: 'raw', source: { path } });
    await flotilla.change('DELETE', '/v1/images/small');
    await nothingLeft();
  });
}

describe('a disk that is longer than the file system has files', () => {
  const flotilla = new Orchestrator();
  before(async () => {
    flotilla.through = ['sh', '-c', 'ulimit -f 204800; exec "$@"', 'sh']; // 100 MiB
    await flotilla.start();
    await flotilla.importImages();
  });
  after(() => flotilla.dispose());

  for (const disk of [
    { name: 'root', sizeMiB: 200 },
    { name: 'root', image: 'd', sizeMiB: 200 },
  ]) {
    it(`is told at its length, ${'image' in disk ? 'from an image' : 'empty'}`, async () => {
      const answer = await flotilla.call('POST', '/v1/machines', {
        body: machine('long', { disks: [disk] }),
        headers: { prefer: 'wait=60' },
      });
      expect(answer.body['error']).to.include({ code: 'spec.disk_invalid', status: 422, field: 'disks[0].sizeMiB' });
      expect(answer.body['error']?.['detail']).to.contain(String(200 * MEBIBYTE));
      expect(flotilla.leftovers()).to.deep.equal([]);
    });
  }
});
/** What tools for files are not asked for here. */
const noImages = {
  createQcow2: () => Promise.reject(new Error('no image is made')),
  createSeedDisk: () => Promise.reject(new Error('no seed disk is made')),
  growQcow2: () => Promise.reject(new Error('no image grows')),
  fill: () => Promise.reject(new Error('no device is filled')),
};

describe('a disk that fills while a file is copied to it', () => {
  let root: string;
  let data: string;

  before(function () {
    if (process.getuid?.() !== 0) {
      console.log('SKIPPED: mounting needs root');
      this.skip();
    }
    root = mkdtempSync(join(tmpdir(), 'flotilla-full-'));
    data = join(root, 'pool');
    mkdirSync(data);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=5m', 'flotilla-test', data]);
  });
  after(() => {
    if (root === undefined) return;
    execFileSync('umount', [data]);
    rmSync(root, { recursive: true, force: true });
  });

  for (const [name, make] of [
    ['Node', () => Promise.resolve(new NodeFileTools())],
    ['the core', async () => new NativeFileTools(await loadNative())],
  ] as [string, () => Promise<FileTools>][]) {
    it(`ends the copy by ${name} with pool.full and without a partial file`, async () => {
      const files = await make();
      let enough = true;
      const filling: FileTools = {
        native: false,
        ...noImages,
        hash: (path, control) => files.hash(path, control),
        copy: (source, target, options) => {
          const { bavail, bsize } = statfsSync(data);
          enough &&= bavail * bsize >= 2 * MEBIBYTE; // so the pool has seen it, a moment ago
          writeFileSync(join(data, 'other'), Buffer.alloc(bavail * bsize - MEBIBYTE, 1));
          return files.copy(source, target, options);
        },
      };
      const pool = new DirPool(data, filling);
      const path = join(root, 'source');
      writeFileSync(path, Buffer.alloc(2 * MEBIBYTE, 7));
      const error: unknown = await pool.importImage({ id: 'img-1', path, anywhere: true, kind: 'disk', format: 'raw' }, {}).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(enough).to.equal(true);
      expect(ApiError.from(error).toProblem()).to.include({ code: 'pool.full', status: 507, remedy: REMEDY });
      expect(readdirSync(join(data, 'images'))).to.deep.equal([]);
      rmSync(join(data, 'other'));
      const facts = await new DirPool(data, files).importImage({ id: 'img-1', path, anywhere: true, kind: 'disk', format: 'raw' }, {});
      expect(facts.sizeBytes).to.equal(2 * MEBIBYTE);
      const volume = await new DirPool(data, filling).ensureVolume({ id: 'vol-1', imageId: 'img-1' }, {}).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      expect(ApiError.from(volume).toProblem()).to.include({ code: 'pool.full', status: 507, remedy: REMEDY });
      expect(readdirSync(join(data, 'volumes'))).to.deep.equal([]);
      rmSync(join(data, 'other'));
      await pool.removeImage('img-1');
    });
  }

  it('ends the copy before what is kept back is gone', async () => {
    const slow: FileTools = {
      native: false,
      ...noImages,
      hash: () => Promise.resolve(''),
      copy: async (_source, _target, { signal, onProgress }) => {
        const { bavail, bsize, blocks } = statfsSync(data);
        writeFileSync(join(data, 'other'), Buffer.alloc(bavail * bsize - (blocks * bsize) / 32, 1));
        for (let bytes = 0; bytes < 500; bytes += 1) {
          signal?.throwIfAborted();
          onProgress?.({ bytes, totalBytes: 500 });
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      },
    };
    const path = join(root, 'source');
    writeFileSync(path, Buffer.alloc(MEBIBYTE, 7));
    const command = { id: 'img-2', path, anywhere: true, kind: 'disk', format: 'raw' } as const;
    const error: unknown = await new DirPool(data, slow).importImage(command, {}).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    rmSync(join(data, 'other'));
    expect(ApiError.from(error).toProblem()).to.include({ code: 'pool.full', status: 507, remedy: REMEDY });
  });
});
