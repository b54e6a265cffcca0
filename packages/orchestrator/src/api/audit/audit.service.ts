// SPDX-License-Identifier: Apache-2.0
import { Inject, Injectable } from '@nestjs/common';
import type { Request } from 'express';
import { Allowance } from '../../common/allowance.js';
import type { PageQuery } from '../../common/dto/list.dto.js';
import { currentContext, type Principal } from '../../common/context.js';
import { newId } from '../../common/ids.js';
import { LOG, type Log } from '../../common/log.js';
import { type Page, pageRequest, toPage } from '../../common/paging.js';
import { Database } from '../../database/database.js';
import type { AuditDto, AuditOutcome } from './dto/audit.dto.js';

const MUTATIONS = new Set(['POST', 'PUT', 'PATCH', 'DELETE']);
const MAX_PATH = 512;
/** Records of requests without a valid key, which anybody may send: so many at once, and so many a second. */
const ANONYMOUS = { atOnce: 100, perSecond: 10 };
const SECONDS_BETWEEN_WARNINGS = 60;

interface Attempt {
  requestId?: string;
  principal?: Principal | undefined;
  method: string;
  path: string;
  permission: string;
  status: number;
  code?: string | undefined;
}

/** Who tried to change what, and how it ended; also what was denied. */
@Injectable()
export class AuditService {
  private readonly anonymous = new Allowance(ANONYMOUS.atOnce, ANONYMOUS.perSecond);
  private readonly warnings = new Allowance(1, 1 / SECONDS_BETWEEN_WARNINGS);
  private unrecorded = 0;

  constructor(
    private readonly database: Database,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** Records the end of a request before its answer is sent; reads are not recorded. */
  async record(request: Request, permission: string, status: number, code?: string): Promise<void> {
    if (!MUTATIONS.has(request.method)) return;
    const { method, path } = request;
    await this.insert({ ...currentContext(), method, path, permission, status, code });
  }

  /** Records that somebody asked to type on a console, once for each connection: 101, or how it was refused. */
  async recordConsole(path: string, principal: Principal | undefined, status: number, code?: string): Promise<void> {
    await this.insert({ principal, method: 'GET', path, permission: 'machines:write', status, code });
  }

  private async insert({ requestId = newId('req'), principal, code, ...attempt }: Attempt): Promise<void> {
    if (principal === undefined && !this.allowsAnonymous()) return;
    await this.database.write(
      ({ db }) =>
        db
          .insertInto('audit')
          .values({
            id: newId('req'),
            time: new Date().toISOString(),
            ...attempt,
            actor: principal?.name ?? 'anonymous',
            actor_id: principal?.id ?? null,
            path: attempt.path.slice(0, MAX_PATH),
            outcome: outcomeOf(attempt.status),
            code: code ?? null,
            request_id: requestId,
          })
          .execute(),
      principal === undefined ? 'process' : 'disk', // a flood without a key makes nobody wait for the disk
    );
  }

  /** Whether one more request without a key is recorded; the log tells how many were not. */
  private allowsAnonymous(): boolean {
    if (this.anonymous.take()) return true;
    this.unrecorded += 1;
    if (this.warnings.take()) {
      this.log.warn({ requests: this.unrecorded }, 'too many requests without a valid key: so many more were refused but not audited');
      this.unrecorded = 0;
    }
    return false;
  }

  async list(query: PageQuery): Promise<Page<AuditDto>> {
    const request = pageRequest(query);
    let select = this.database.db
      .selectFrom('audit')
      .selectAll()
      .orderBy('id')
      .limit(request.limit + 1);
    if (request.after !== undefined) select = select.where('id', '>', request.after);
    return toPage(
      await select.execute(),
      request.limit,
      (row) => row.id,
      (row) => ({
        id: row.id,
        time: row.time,
        actor: row.actor,
        ...(row.actor_id === null ? {} : { actorId: row.actor_id }),
        permission: row.permission,
        method: row.method,
        path: row.path,
        outcome: row.outcome,
        status: row.status,
        ...(row.code === null ? {} : { code: row.code }),
        requestId: row.request_id,
      }),
    );
  }
}

function outcomeOf(status: number): AuditOutcome {
  if (status === 401 || status === 403) return 'denied';
  if (status >= 500) return 'failed';
  return status >= 400 ? 'refused' : 'done';
}
