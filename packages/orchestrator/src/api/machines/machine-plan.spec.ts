// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { useSqlite } from '../../../test/support/spec-database.js';
import { ApiError } from '../../common/api-error.js';
import type { Database, WriteTransaction } from '../../database/database.js';
import type { ImageKind } from '../images/image.js';
import { KyselyImageRepository } from '../images/image.repository.js';
import { ImagesService } from '../images/images.service.js';
import type { OperationRequest } from '../operations/operations.service.js';
import { KyselyVolumeRepository } from '../volumes/volume.repository.js';
import { DiskPlanner } from './disk-plan.service.js';
import type { DiskDto } from './dto/machine-spec.dto.js';
import { MachinePlanner } from './machine-plan.service.js';
import { MachineStores } from './machine-stores.service.js';

const done = () => Promise.resolve(undefined);

describe('the plan of a machine', () => {
  let database: Database;
  useSqlite((opened) => {
    database = opened;
  });

  const unused = undefined as never;
  /** Pools that are started, and promise anything. */
  const pools = { boundOf: done, requireStarted: done, requireRoom: done } as never;
  /** Stores what an operation would begin with, and begins none. */
  const operations = {
    submit: (_request: OperationRequest, prepare: (tx: WriteTransaction) => Promise<void>) => database.write(prepare),
  } as never;
  const body = {
    name: 'm',
    cpus: 1,
    memoryMiB: 64,
    boot: { kernel: 'kernel', initrd: 'initrd' },
    disks: [{ name: 'root', image: 'disk' }],
  };

  function services() {
    const repository = new KyselyImageRepository(database);
    const images = new ImagesService(repository, operations, unused, { abort: () => undefined } as never);
    const memory = { overcommit: false, requireRoom: () => Promise.resolve() } as never;
    const hosts = { memoryMiB: () => Promise.resolve(1024) } as never;
    const planner = new MachinePlanner(images, unused, hosts, memory, { shareRoots: [] } as never, new DiskPlanner(images, pools));
    const volumes = { insertNamed: () => Promise.resolve() } as never;
    return { repository, images, planner, stores: new MachineStores(images, unused, volumes, unused, memory, pools) };
  }

  async function store(name: string, kind: ImageKind, format: 'elf' | 'initrd' | 'raw'): Promise<void> {
    const { images, repository } = services();
    const image = images.newImage({ name, kind, format }, { upload: true });
    await database.write((tx) => repository.insert({ ...image, state: 'ready' }, tx.db));
  }

  beforeEach(async () => {
    await store('kernel', 'kernel', 'elf');
    await store('initrd', 'initrd', 'initrd');
    await store('disk', 'disk', 'raw');
  });
  afterEach(async () => {
    await database.db.deleteFrom('images').execute();
  });

  const failureOf = (attempt: Promise<unknown>): Promise<unknown> =>
    attempt.then(
      () => 'none',
      (error: unknown) => error,
    );

  it('is stored while its images are there', async () => {
    const { planner, stores } = services();
    const plan = await planner.plan(body);
    expect(await database.write((tx) => stores.reserve(plan, true, tx))).to.deep.equal([]);
  });

  for (const [name, field] of [
    ['kernel', 'boot.kernel'],
    ['initrd', 'boot.initrd'],
    ['disk', 'disks[0].image'],
  ] as const) {
    it(`is refused when its ${name} was deleted since it was made, and another has its name`, async () => {
      const { planner, stores, images } = services();
      const plan = await planner.plan(body);
      await images.remove(name);
      await store(name, name, name === 'kernel' ? 'elf' : name === 'disk' ? 'raw' : 'initrd');
      const failure = await failureOf(database.write((tx) => stores.reserve(plan, true, tx)));
      expect(failure).to.be.instanceOf(ApiError).and.to.include({ code: 'image.not_found', status: 422, field });
    });
  }

  it('has, for a linked disk, a qcow2 volume on its image, in whole sectors or larger', async () => {
    const { planner, repository } = services();
    const image = await repository.find('disk');
    await database.write((tx) => repository.markReady(image?.id ?? '', { sizeBytes: 1000, sha256: '' }, tx.db));
    const volumes = async (disk: Partial<DiskDto>) => (await planner.plan({ ...body, disks: [{ name: 'root', ...disk }] })).newVolumes;
    const linked = { image: 'disk', clone: 'linked' } as const;
    expect((await volumes(linked))[0]).to.include({ format: 'qcow2', backingImage: image?.id, sizeBytes: 1024 });
    expect((await volumes({ ...linked, sizeMiB: 3 }))[0]).to.include({ format: 'qcow2', sizeBytes: 3 << 20 });
    for (const clone of [{}, { clone: 'full' }] as const)
      expect((await volumes({ image: 'disk', ...clone }))[0])
        .to.include({ format: 'raw', sizeBytes: 1000 })
        .and.not.have.property('backingImage');
  });

  it('has no linked disk without an image, nor past the cache of the host', async () => {
    const { planner } = services();
    for (const [disk, field] of [
      [{ sizeMiB: 1, clone: 'linked' }, 'disks[0].clone'],
      [{ volume: 'vol-1', clone: 'linked' }, 'disks[0].clone'],
      [{ image: 'disk', clone: 'linked', cache: 'none' }, 'disks[0].cache'],
    ] as const)
      expect(await failureOf(planner.plan({ ...body, disks: [{ name: 'root', ...disk }] }))).to.include({
        code: 'spec.disk_invalid',
        field,
      });
    await planner.plan({ ...body, disks: [{ name: 'root', image: 'disk', clone: 'full', cache: 'none' }] });
  });

  it('has, for a shared disk, a volume that is its image, and nothing of its own', async () => {
    const { planner, repository } = services();
    const image = await repository.find('disk');
    await database.write((tx) => repository.markReady(image?.id ?? '', { sizeBytes: 1000, sha256: '' }, tx.db));
    const plan = await planner.plan({
      ...body,
      disks: [{ name: 'root', image: 'disk', clone: 'shared', readOnly: true, attach: 'pmem' }],
    });
    expect(plan.newVolumes[0]).to.include({ format: 'raw', backingImage: image?.id, sizeBytes: 1000 });
    expect(plan.spec.disks[0]).to.include({ clone: 'shared', readOnly: true, attach: 'pmem' });
  });

  it('has no shared disk that could be written or is larger than its image, and nothing about requests in memory', async () => {
    const { planner, repository } = services();
    const image = await repository.find('disk');
    await database.write((tx) => repository.markReady(image?.id ?? '', { sizeBytes: 3 << 20, sha256: '' }, tx.db));
    const shared = { image: 'disk', clone: 'shared', readOnly: true } as const;
    const pmem = { image: 'disk', readOnly: true, attach: 'pmem' } as const;
    for (const [disk, field] of [
      [{ ...shared, readOnly: false }, 'readOnly'],
      [{ ...shared, sizeMiB: 9 }, 'sizeMiB'],
      [{ clone: 'shared', sizeMiB: 9, readOnly: true }, 'clone'],
      [{ ...pmem, clone: 'linked' }, 'attach'],
      [{ ...pmem, serial: 'one' }, 'serial'],
      [{ ...pmem, queues: 1 }, 'queues'],
      [{ ...pmem, cache: 'none' }, 'cache'],
      [{ ...pmem, engine: 'direct' }, 'engine'],
      [{ ...pmem, blockSize: 512 }, 'blockSize'],
      [{ ...pmem, onNoSpace: 'pause' }, 'onNoSpace'],
      [{ ...pmem, throttle: { bytes: { perSecond: 1 } } }, 'throttle'],
      [{ ...pmem, readOnly: false }, 'sizeMiB'],
      [{ sizeMiB: 5, attach: 'pmem' }, 'sizeMiB'],
    ] as const)
      expect(await failureOf(planner.plan({ ...body, disks: [{ name: 'root', ...disk }] })), field).to.include({
        code: 'spec.disk_invalid',
        field: `disks[0].${field}`,
      });
    await planner.plan({
      ...body,
      disks: [
        { name: 'root', ...pmem, readOnly: false, sizeMiB: 4, cache: 'writeback', engine: 'auto', onNoSpace: 'report' },
        { name: 'data', sizeMiB: 6, attach: 'pmem' },
        { name: 'read', ...pmem },
      ],
    });
  });

  it('takes a volume that is there for memory only if it is raw and whole, and a shared one only to read', async () => {
    const { images, planner } = services();
    const reserve = async (volume: object, disk: Partial<DiskDto>) => {
      const volumes = { claim: () => Promise.resolve({ sizeBytes: 2 << 20, ...volume }) } as never;
      const stores = new MachineStores(images, volumes, unused, unused, { requireRoom: done } as never, pools);
      const plan = await planner.plan({ ...body, disks: [{ name: 'root', volume: 'vol-1', ...disk }] });
      const failure = await failureOf(database.write((tx) => stores.reserve(plan, true, tx)));
      return failure instanceof ApiError ? failure.field : failure;
    };
    const pmem = { attach: 'pmem' } as const;
    expect(await reserve({ format: 'raw' }, pmem)).to.equal('none');
    expect(await reserve({ format: 'qcow2' }, pmem)).to.equal('disks[0].attach');
    expect(await reserve({ format: 'raw', sizeBytes: 3 << 20 }, pmem)).to.equal('disks[0].sizeMiB');
    expect(await reserve({ format: 'raw', backingImage: 'img-1' }, {})).to.equal('disks[0].readOnly');
    expect(await reserve({ format: 'raw', backingImage: 'img-1' }, { ...pmem, readOnly: true })).to.equal('none');
  });

  it('takes a qcow2 volume that is there, but not past the cache of the host', async () => {
    const { images, planner } = services();
    const volumes = { claim: () => Promise.resolve({ format: 'qcow2' }) } as never;
    const stores = new MachineStores(images, volumes, unused, unused, { requireRoom: done } as never, pools);
    const reserve = async (cache: 'none' | 'writeback') => {
      const plan = await planner.plan({ ...body, disks: [{ name: 'root', volume: 'vol-1', cache }] });
      return failureOf(database.write((tx) => stores.reserve(plan, true, tx)));
    };
    expect(await reserve('none')).to.include({ code: 'spec.disk_invalid', field: 'disks[0].cache' });
    expect(await reserve('writeback')).to.equal('none');
  });

  it('of a linked disk and the delete of its image: only one of the two comes to pass', async () => {
    const { planner, images, repository } = services();
    const memory = { requireRoom: done } as never;
    const stores = new MachineStores(images, unused, new KyselyVolumeRepository(database), unused, memory, pools);
    type Attempt = () => Promise<unknown>;
    const orders: Record<string, (create: Attempt, remove: Attempt) => Promise<unknown[]>> = {
      'create first': async (create, remove) => [await create(), await remove()],
      'delete first': async (create, remove) => [await remove(), await create()].reverse(),
      'at once': (create, remove) => Promise.all([create(), remove()]),
    };
    for (const [order, inOrder] of Object.entries(orders)) {
      if ((await repository.find('disk')) === undefined) await store('disk', 'disk', 'raw');
      const plan = await planner.plan({ ...body, disks: [{ name: 'root', image: 'disk', clone: 'linked' }] });
      const create = () => failureOf(database.write((tx) => stores.reserve(plan, true, tx)));
      const remove = () => failureOf(images.remove('disk'));
      const [created, removed] = await inOrder(create, remove);
      const made = created === 'none';
      if (order !== 'at once') expect(made, order).to.equal(order === 'create first');
      if (made) expect(removed, order).to.include({ code: 'image.in_use', status: 409 });
      else expect([(created as ApiError).code, removed], order).to.deep.equal(['image.not_found', 'none']);
      expect(await database.db.selectFrom('volumes').select('id').execute(), order).to.have.length(made ? 1 : 0);
      await database.db.deleteFrom('volumes').execute();
    }
  });

  it('of a delete: an image is deleted once', async () => {
    const { images } = services();
    const both = await Promise.all([1, 2].map(() => failureOf(images.remove('disk'))));
    expect(both.filter((one) => one === 'none')).to.have.length(1);
    expect(both.find((one) => one !== 'none')).to.include({ code: 'image.not_found', status: 404 });
  });
});
