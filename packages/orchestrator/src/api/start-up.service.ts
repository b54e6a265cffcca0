// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { Database } from '../database/database.js';
import { exchangeMeta } from '../database/meta.js';
import { HostAgent } from '../host-agent/host-agent.js';
import { ImageUploads } from './images/image-uploads.service.js';
import { ImageRepository } from './images/image.repository.js';
import type { Operation } from './operations/operation.js';
import { OperationsService } from './operations/operations.service.js';

/** What has to be settled once: interrupted work and a host that was restarted. */
@Injectable()
export class StartUp {
  private interrupted: { images: string[]; operations: Operation[] } = { images: [], operations: [] };
  private rebooted = false;

  constructor(
    private readonly database: Database,
    private readonly operations: OperationsService,
    private readonly images: ImageRepository,
    private readonly uploads: ImageUploads,
    private readonly agent: HostAgent,
  ) {}

  /** Notes what an earlier process left open. To be called before the first request is taken: what begins with one is not interrupted. */
  async collect(): Promise<void> {
    this.interrupted = { images: await this.images.ids(), operations: await this.operations.interrupted() };
  }

  /** Goes on with what was interrupted, and tells whether the host was restarted since the last time. May be called again when it fails. */
  async settleHost(): Promise<{ rebooted: boolean }> {
    const { bootId } = await this.agent.describe();
    await this.uploads.discardInterrupted(this.interrupted.images);
    const before = await exchangeMeta(this.database, 'host.boot-id', bootId);
    this.rebooted ||= before !== undefined && before !== bootId;
    this.operations.resume(this.interrupted.operations);
    return { rebooted: this.rebooted };
  }
}
