// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { PageRequest } from '../../common/paging.js';
import { Database, type Executor } from '../../database/database.js';
import { isCalled, rowsOf } from '../../database/named.js';
import type { Role } from '../auth/roles.js';

/** An API key as it is kept: only the hash of its secret. */
export interface StoredKey {
  id: string;
  name: string;
  role: Role;
  secretHash: string;
  createdAt: string;
}

/** Where API keys are kept. */
export abstract class KeyRepository {
  abstract insert(key: StoredKey, db?: Executor): Promise<void>;
  abstract find(idOrName: string, db?: Executor): Promise<StoredKey | undefined>;
  abstract page(request: PageRequest): Promise<StoredKey[]>;
  abstract remove(id: string, db: Executor): Promise<void>;
  abstract countAdmins(db?: Executor): Promise<number>;
}

@Injectable()
export class KyselyKeyRepository extends KeyRepository {
  constructor(private readonly database: Database) {
    super();
  }

  override async insert(key: StoredKey, db: Executor = this.database.db): Promise<void> {
    await db
      .insertInto('keys')
      .values({ id: key.id, name: key.name, role: key.role, secret_hash: key.secretHash, created_at: key.createdAt })
      .execute();
  }

  override async find(idOrName: string, db: Executor = this.database.db): Promise<StoredKey | undefined> {
    const named = db.selectFrom('keys').selectAll();
    const row = await named.where((w) => isCalled(w, idOrName)).executeTakeFirst();
    return row === undefined ? undefined : toKey(row);
  }

  override async page(request: PageRequest): Promise<StoredKey[]> {
    return (await rowsOf(this.database.db.selectFrom('keys').selectAll(), request).execute()).map(toKey);
  }

  override async remove(id: string, db: Executor): Promise<void> {
    await db.deleteFrom('keys').where('id', '=', id).execute();
  }

  override async countAdmins(db: Executor = this.database.db): Promise<number> {
    const row = await db
      .selectFrom('keys')
      .select((w) => w.fn.countAll().as('count'))
      .where('role', '=', 'admin')
      .executeTakeFirstOrThrow();
    return Number(row.count);
  }
}

function toKey(row: { id: string; name: string; role: string; secret_hash: string; created_at: string }): StoredKey {
  return { id: row.id, name: row.name, role: row.role as Role, secretHash: row.secret_hash, createdAt: row.created_at };
}
