// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { Database } from '../database/database.js';
import { exchangeMeta } from '../database/meta.js';
import { HostAgent } from '../host-agent/host-agent.js';
import { EventRepository } from './events/event.repository.js';
import { IdempotencyStore } from './idempotency/idempotency.store.js';
import { ImageUploads } from './images/image-uploads.service.js';
import { ImageRepository } from './images/image.repository.js';
import { OperationsService } from './operations/operations.service.js';
import { Retention } from './retention/retention.service.js';

/** What has to be settled once, before the first request: interrupted work and a host that was restarted. */
@Injectable()
export class StartUp {
  constructor(
    private readonly database: Database, private readonly operations: OperationsService, private readonly idempotency: IdempotencyStore, private readonly images: ImageRepository, private readonly uploads: ImageUploads,
  ) {}

  /** Requests that a crash cut off; needs the database alone. */
  async settleRequests(): Promise<void> {
    await this.idempotency.settleInterrupted();
  }

  async settleHost(agent: HostAgent): Promise<{ rebooted: boolean }> {
    await this.uploads.discardInterrupted(await this.images.ids());
    const { bootId } = await agent.describe();
    const before = await exchangeMeta(this.database, 'host.boot-id', bootId);
    await this.operations.resumeInterrupted();
    return { rebooted: before !== undefined && before !== bootId };
  }
}

/** Keeps tables bounded. */
@Injectable()
export class Housekeeping {
  constructor(private readonly events: EventRepository, private readonly idempotency: IdempotencyStore, private readonly retention: Retention) {}

  async prune(eventWindow: number): Promise<void> {
    await this.events.prune(eventWindow);
    await this.idempotency.prune();
    await this.retention.prune();
  }
}
