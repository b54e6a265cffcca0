// SPDX-License-Identifier: Apache-2.0
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Injectable } from '@nestjs/common';
import type { Request, Response } from 'express';
import { sql } from 'kysely';
import { ApiError } from '../../common/api-error.js';
import { Database } from '../../database/database.js';
import { KeysService } from '../keys/keys.service.js';
import { Metrics } from './metrics.js';

@Injectable()
export class HealthService {
  private started = false;

  constructor(
    private readonly database: Database,
    private readonly metrics: Metrics,
    private readonly keys: KeysService,
  ) {}

  /** Told when everything of before was adopted. */
  markStarted(): void {
    this.started = true;
  }

  async ready(): Promise<{ status: 'ok' }> {
    if (!this.started)
      throw new ApiError('host.unavailable', { detail: 'The orchestrator is still adopting what runs.', remedy: 'Try again in a moment.' });
    await sql`select 1`.execute(this.database.db);
    return { status: 'ok' };
  }

  /** For anyone with a key; those of the orchestrator alone, which name no machine, also for the loopback address. */
  async sendMetrics(request: Request, response: Response): Promise<void> {
    const local = ['127.0.0.1', '::1', '::ffff:127.0.0.1'].includes(request.socket.remoteAddress ?? '');
    const token = /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
    const known = token !== undefined && (await this.keys.authenticate(token)) !== undefined;
    if (!known && (!local || token !== undefined)) {
      throw new ApiError('auth.missing', {
        detail: token === undefined ? 'Metrics are shown without a key on the loopback address only.' : 'There is no such key.',
        remedy: 'Send the header Authorization: Bearer <key>.',
      });
    }
    const { type, text } = await this.metrics.render({ machines: known });
    response.status(200).set('Content-Type', type).send(text);
  }

  async sendOpenapi(response: Response): Promise<void> {
    response
      .status(200)
      .type('application/json')
      .send(await readDocument());
  }
}

/** The committed document, beside the bundle or in the repository. */
async function readDocument(): Promise<string> {
  let directory = dirname(fileURLToPath(import.meta.url));
  for (let depth = 0; depth < 8; depth += 1) {
    for (const name of ['openapi.json', join('openapi', 'flotilla.v1.json')]) {
      const text = await readFile(join(directory, name), 'utf8').catch(() => undefined);
      if (text !== undefined) return text;
    }
    directory = dirname(directory);
  }
  throw new ApiError('request.not_found', { detail: 'The API document was not installed.', remedy: 'Install the package again.' });
}
