// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { Config } from '../config/config.js';
import { EventRepository } from './events/event.repository.js';
import { IdempotencyStore } from './idempotency/idempotency.store.js';
import { Retention } from './retention/retention.service.js';

/** Keeps tables bounded. */
@Injectable()
export class Housekeeping {
  constructor(
    private readonly events: EventRepository,
    private readonly idempotency: IdempotencyStore,
    private readonly retention: Retention,
    private readonly config: Config,
  ) {}

  async prune(): Promise<void> {
    await this.events.prune(this.config.eventWindow);
    await this.idempotency.prune();
    await this.retention.prune();
  }
}
