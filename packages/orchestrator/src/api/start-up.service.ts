// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ImageUploads } from './images/image-uploads.service.js';
import { ImageRepository } from './images/image.repository.js';
import { Installation } from './installation.service.js';
import type { Operation } from './operations/operation.js';
import { OperationsService } from './operations/operations.service.js';
import { PoolsReconciler } from './pools/pools.reconciler.js';

/** What has to be settled once: interrupted work and a host that was restarted. */
@Injectable()
export class StartUp {
  private interrupted: { images: string[]; operations: Operation[] } = { images: [], operations: [] };

  constructor(
    private readonly installation: Installation,
    private readonly operations: OperationsService,
    private readonly images: ImageRepository,
    private readonly uploads: ImageUploads,
    private readonly pools: PoolsReconciler,
  ) {}

  /** Notes what an earlier process left open. To be called before the first request is taken: what begins with one is not interrupted. */
  async collect(): Promise<void> {
    this.interrupted = { images: await this.images.ids(), operations: await this.operations.interrupted() };
  }

  /**
   * Takes hold of the host, goes on with what was interrupted, and tells whether the host was restarted: so long as nobody has
   * called `settled`, which is when what ended with it is stored. May be called again when it fails.
   */
  async settleHost(): Promise<{ rebooted: boolean; settled: () => Promise<void> }> {
    await this.installation.claimHost();
    const rebooted = await this.installation.hostRebooted();
    if (rebooted) await this.pools.noteHostReboot();
    await this.uploads.discardInterrupted(this.interrupted.images);
    this.operations.resume(this.interrupted.operations);
    return { rebooted, settled: () => this.installation.settleBoot() };
  }
}
