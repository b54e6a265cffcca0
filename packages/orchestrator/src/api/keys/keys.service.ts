// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmod, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { currentContext, type Principal } from '../../common/context.js';
import type { PageQuery } from '../../common/dto/list.dto.js';
import { newId } from '../../common/ids.js';
import { type Page, pageRequest, toPage } from '../../common/paging.js';
import { Config } from '../../config/config.js';
import { Database, isUniqueViolation } from '../../database/database.js';
import type { CreateKey, KeyDto, NewKeyDto, WhoAmI } from './dto/key.dto.js';
import { KeyRepository, type StoredKey } from './key.repository.js';

const SECRET_BYTES = 32;
/** Text of a key: `flo_<id without prefix>_<secret>`. */
const KEY_TEXT = /^flo_([0-9a-z]{26})_([A-Za-z0-9_-]{43})$/;

@Injectable()
export class KeysService {
  /** What ends with a key: connections that outlive the request which showed it. */
  private readonly held = new Map<string, Set<() => void>>();
  /** Deleted since the start: a connection may have been on its way in meanwhile. */
  private readonly removed = new Set<string>();

  constructor(
    private readonly repository: KeyRepository,
    private readonly database: Database,
    private readonly config: Config,
  ) {}

  /** Calls `end` once the key is gone, at once when it is already; answers how to stop that. */
  whileValid(id: string, end: () => void): () => void {
    if (this.removed.has(id)) {
      end();
      return () => undefined;
    }
    const ends = this.held.get(id) ?? new Set();
    this.held.set(id, ends.add(end));
    return () => {
      ends.delete(end);
      if (ends.size === 0 && this.held.get(id) === ends) this.held.delete(id);
    };
  }

  async create(body: CreateKey): Promise<NewKeyDto> {
    const { key, text } = makeKey(body.name, body.role);
    try {
      await this.database.write(async (tx) => {
        await this.repository.insert(key, tx.db);
        tx.emit({ kind: 'key.created', target: { kind: 'key', id: key.id, name: key.name }, data: { role: key.role } });
      });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new ApiError('key.name_taken', {
        detail: `An API key with the name "${body.name}" exists.`,
        remedy: 'Choose another name.',
        field: 'name',
      });
    }
    return { ...toDto(key), secret: text };
  }

  async list(query: PageQuery): Promise<Page<KeyDto>> {
    const request = pageRequest(query);
    return toPage(await this.repository.page(request), request.limit, (key) => key.id, toDto);
  }

  /** Deletes a key and ends what is open with it. */
  async remove(idOrName: string): Promise<void> {
    const id = await this.database.write(async (tx) => {
      const key = await this.repository.find(idOrName, tx.db);
      if (key === undefined)
        throw new ApiError('key.not_found', { detail: `There is no API key "${idOrName}".`, remedy: 'List the keys: GET /v1/keys.' });
      if (key.role === 'admin' && (await this.repository.countAdmins(tx.db)) === 1) {
        throw new ApiError('key.last_admin', {
          detail: 'Without this key nobody could manage keys.',
          remedy: 'Make another admin key first.',
        });
      }
      await this.repository.remove(key.id, tx.db);
      tx.emit({ kind: 'key.deleted', target: { kind: 'key', id: key.id, name: key.name }, data: {} });
      return key.id;
    });
    this.removed.add(id);
    for (const end of this.held.get(id) ?? []) end();
    this.held.delete(id);
  }

  whoami(): WhoAmI {
    const principal = currentContext()?.principal;
    if (principal === undefined)
      throw new ApiError('auth.missing', {
        detail: 'The request carries no API key.',
        remedy: 'Send the header Authorization: Bearer <key>.',
      });
    return principal;
  }

  /** Who a bearer token belongs to; undefined when to nobody. Takes the same time for wrong secrets. */
  async authenticate(text: string): Promise<Principal | undefined> {
    const [, id, secret] = KEY_TEXT.exec(text) ?? [];
    if (id === undefined || secret === undefined) return undefined;
    const key = await this.repository.find(`key-${id}`);
    const given = Buffer.from(hashSecret(secret), 'hex');
    const known = Buffer.from(key?.secretHash ?? '0'.repeat(64), 'hex');
    if (!timingSafeEqual(given, known) || key === undefined) return undefined;
    return { id: key.id, name: key.name, role: key.role };
  }

  /** Makes the first admin key and writes it where only the owner of the data directory can read it. */
  async bootstrap(): Promise<void> {
    const path = join(this.config.dataDirectory, 'admin.key');
    if ((await this.repository.countAdmins()) > 0) {
      await rename(`${path}.tmp`, path).catch(() => undefined); // a crash came between the two last steps below
      return;
    }
    const { key, text } = makeKey('admin', 'admin');
    await writeFile(`${path}.tmp`, `${text}\n`, { mode: 0o600 });
    await chmod(`${path}.tmp`, 0o600);
    await this.repository.insert(key);
    await rename(`${path}.tmp`, path);
  }
}

function makeKey(name: string, role: StoredKey['role']): { key: StoredKey; text: string } {
  const id = newId('key');
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  return {
    key: { id, name, role, secretHash: hashSecret(secret), createdAt: new Date().toISOString() },
    text: `flo_${id.slice(4)}_${secret}`,
  };
}

function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

function toDto(key: StoredKey): KeyDto {
  return { id: key.id, name: key.name, role: key.role, createdAt: key.createdAt };
}
