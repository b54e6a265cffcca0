// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Selectable } from 'kysely';
import type { Labels } from '../../common/names.js';
import type { LabelledPage } from '../../common/paging.js';
import { Database, type Executor } from '../../database/database.js';
import { isCalled, rowsOf } from '../../database/named.js';
import { labelFilter, labelsOf, removeLabels, replaceLabels } from '../../database/labels.js';
import type { ImagesTable } from '../../database/schema.js';
import type { Image, ImageFormat, ImageKind, ImageState } from './image.js';

/** Where images are kept. */
export abstract class ImageRepository {
  abstract insert(image: Image, db: Executor): Promise<void>;
  abstract markReady(id: string, facts: { sizeBytes: number; sha256: string }, db: Executor): Promise<void>;
  abstract remove(id: string, db: Executor): Promise<void>;
  abstract find(idOrName: string, db?: Executor): Promise<Image | undefined>;
  abstract page(request: LabelledPage): Promise<Image[]>;
  abstract ids(): Promise<string[]>;
  /** A machine that boots from it, if any. */
  abstract user(id: string, db?: Executor): Promise<string | undefined>;
  /** Volumes that are based on it or are being copied from it, in the order in which they were made. */
  abstract linkedVolumes(id: string, db?: Executor): Promise<{ id: string; name: string }[]>;
}

@Injectable()
export class KyselyImageRepository extends ImageRepository {
  constructor(private readonly database: Database) {
    super();
  }

  override async insert(image: Image, db: Executor): Promise<void> {
    const { sizeBytes, createdAt, labels, source, ...row } = image;
    await db
      .insertInto('images')
      .values({ ...row, size_bytes: sizeBytes, created_at: createdAt, source: JSON.stringify(source) })
      .execute();
    await replaceLabels(db, 'image', image.id, labels);
  }

  override async markReady(id: string, facts: { sizeBytes: number; sha256: string }, db: Executor): Promise<void> {
    await db
      .updateTable('images')
      .set({ state: 'ready', size_bytes: facts.sizeBytes, sha256: facts.sha256 })
      .where('id', '=', id)
      .execute();
  }

  override async remove(id: string, db: Executor): Promise<void> {
    await removeLabels(db, 'image', id);
    await db.deleteFrom('images').where('id', '=', id).execute();
  }

  override async find(idOrName: string, db: Executor = this.database.db): Promise<Image | undefined> {
    const named = db.selectFrom('images').selectAll();
    const row = await named.where((w) => isCalled(w, idOrName)).executeTakeFirst();
    return row === undefined ? undefined : (await this.withLabels([row], db))[0];
  }

  override async page(request: LabelledPage): Promise<Image[]> {
    let query = rowsOf(this.database.db.selectFrom('images').selectAll(), request);
    for (const filter of labelFilter(this.database.db, 'image', request.labels)) query = query.where('id', 'in', filter);
    return this.withLabels(await query.execute(), this.database.db);
  }

  override async ids(): Promise<string[]> {
    return (await this.database.db.selectFrom('images').select('id').execute()).map((row) => row.id);
  }

  override async user(id: string, db: Executor = this.database.db): Promise<string | undefined> {
    const row = await db
      .selectFrom('machine_images')
      .innerJoin('machines', 'machines.id', 'machine_images.machine_id')
      .select('machines.name')
      .where('image_id', '=', id)
      .executeTakeFirst();
    return row?.name;
  }

  override linkedVolumes(id: string, db: Executor = this.database.db): Promise<{ id: string; name: string }[]> {
    return db
      .selectFrom('volumes')
      .select(['id', 'name'])
      .where((w) => w.or([w('backing_image', '=', id), w('source_id', '=', id)]))
      .orderBy('id')
      .execute();
  }

  private async withLabels(rows: Selectable<ImagesTable>[], db: Executor): Promise<Image[]> {
    const labels = await labelsOf(
      db,
      'image',
      rows.map((row) => row.id),
    );
    return rows.map((row) => fromRow(row, labels.get(row.id) ?? {}));
  }
}

function fromRow(row: Selectable<ImagesTable>, labels: Labels): Image {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind as ImageKind,
    format: row.format as ImageFormat,
    sizeBytes: row.size_bytes,
    sha256: row.sha256,
    state: row.state as ImageState,
    createdAt: row.created_at,
    labels,
    source: JSON.parse(row.source) as Image['source'],
  };
}
