// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { Request } from 'express';
import { useSqlite } from '../../../test/support/spec-database.js';
import { ApiError } from '../../common/api-error.js';
import { makeLog } from '../../common/log.js';
import type { Database } from '../../database/database.js';
import { KyselyImageRepository } from './image.repository.js';
import { ImageUploads } from './image-uploads.service.js';
import { ImagesService } from './images.service.js';
import { OpenUploads } from './open-uploads.js';

const request = { headers: { 'content-type': 'application/octet-stream' } } as unknown as Request;
const query = { kind: 'disk', format: 'raw' } as const;
const unavailable = new ApiError('host.unavailable', { detail: 'The agent is away.', remedy: 'Start it.' });
const wrongSum = new ApiError('image.checksum_mismatch', { detail: 'Another sum.', remedy: 'Send it again.' });

describe('an upload that fails', () => {
  let database: Database;
  useSqlite((opened) => {
    database = opened;
  });

  /** The service over an agent that fails uploads so, and may be away when the file is to be removed. */
  function uploads(
    failure: ApiError,
    away: boolean,
    removed: string[] = [],
    uploadImage: (command: { id: string }) => Promise<unknown> = () => Promise.reject(failure),
  ): ImageUploads {
    const repository = new KyselyImageRepository(database);
    const agent = {
      uploadImage,
      removeImage: ({ id }: { id: string }) => {
        if (away) return Promise.reject(unavailable);
        removed.push(id);
        return Promise.resolve();
      },
    };
    const images = new ImagesService(repository, undefined as never, undefined as never, undefined as never);
    return new ImageUploads(images, repository, database, agent as never, new OpenUploads(undefined as never), makeLog('silent'));
  }
  const failureOf = (attempt: Promise<unknown>): Promise<unknown> =>
    attempt.then(
      () => expect.fail('it succeeded'),
      (error: unknown) => error,
    );
  const failed = async (): Promise<string[]> =>
    (await database.db.selectFrom('events').select('data').where('kind', '=', 'image.failed').execute()).map(({ data }) => data);

  it('tells its own error and frees its name, though the agent is away', async () => {
    expect(await failureOf(uploads(wrongSum, true).upload('twice', query, request))).to.equal(wrongSum);
    expect(await failureOf(uploads(wrongSum, true).upload('twice', query, request)), 'not image.name_taken').to.equal(wrongSum);
    expect(await new KyselyImageRepository(database).ids()).to.deep.equal([]);
    expect(await failed()).to.deep.equal(Array(2).fill('{"code":"image.checksum_mismatch"}'));
  });

  it('tells its own error also when the database is away too', async () => {
    const broken = uploads(wrongSum, false);
    const write = database.write.bind(database);
    let writes = 0;
    database.write = ((run: never) => (++writes === 1 ? write(run) : Promise.reject(new Error('no database')))) as never;
    try {
      expect(await failureOf(broken.upload('stays', query, request))).to.equal(wrongSum);
    } finally {
      database.write = write;
    }
  });

  it('is forgotten at the next start when a crash cut it off, with or without the agent', async () => {
    const repository = new KyselyImageRepository(database);
    const [left] = await repository.ids();
    await uploads(wrongSum, true).discardInterrupted([left ?? '']);
    expect(await repository.ids()).to.deep.equal([]);
    expect((await failed()).at(-1)).to.equal('{"code":"operation.interrupted"}');
  });

  it('whose image was deleted just before its end is not ready for it, and leaves no file', async () => {
    const removed: string[] = [];
    const late = uploads(wrongSum, false, removed, async ({ id }) => {
      const repository = new KyselyImageRepository(database);
      await database.write((tx) => repository.remove(id, tx.db));
      return { sizeBytes: 1, sha256: '' };
    });
    const before = (await failed()).length;
    expect(ApiError.from(await failureOf(late.upload('late', query, request))).code).to.equal('operation.cancelled');
    expect([removed.length, (await failed()).length - before], 'its file; no second event beside that of the delete').to.deep.equal([1, 0]);
    expect(await database.db.selectFrom('events').select('seq').where('kind', '=', 'image.ready').execute()).to.deep.equal([]);
  });

  it('has its file removed by the agent', async () => {
    const removed: string[] = [];
    await failureOf(uploads(wrongSum, false, removed).upload('file', query, request));
    expect(removed).to.have.length(1);
  });
});
