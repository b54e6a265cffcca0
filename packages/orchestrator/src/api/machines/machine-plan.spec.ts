// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { useSqlite } from '../../../test/support/spec-database.js';
import { ApiError } from '../../common/api-error.js';
import type { Database, WriteTransaction } from '../../database/database.js';
import type { ImageKind } from '../images/image.js';
import { KyselyImageRepository } from '../images/image.repository.js';
import { ImagesService } from '../images/images.service.js';
import type { OperationRequest } from '../operations/operations.service.js';
import { MachinePlanner } from './machine-plan.service.js';
import { MachineStores } from './machine-stores.service.js';

describe('the plan of a machine', () => {
  let database: Database;
  useSqlite((opened) => {
    database = opened;
  });

  const unused = undefined as never;
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
    const planner = new MachinePlanner(images, unused, { memoryMiB: () => Promise.resolve(1024) } as never, memory);
    const volumes = { insert: () => Promise.resolve() } as never;
    return { repository, images, planner, stores: new MachineStores(images, unused, volumes, unused, memory) };
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

  it('of a delete: an image is deleted once', async () => {
    const { images } = services();
    const both = await Promise.all([1, 2].map(() => failureOf(images.remove('disk'))));
    expect(both.filter((one) => one === 'none')).to.have.length(1);
    expect(both.find((one) => one !== 'none')).to.include({ code: 'image.not_found', status: 404 });
  });
});
