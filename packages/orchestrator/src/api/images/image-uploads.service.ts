// SPDX-License-Identifier: Apache-2.0
import { Inject, Injectable } from '@nestjs/common';
import type { Request } from 'express';
import { ApiError } from '../../common/api-error.js';
import type { Target } from '../../common/event.js';
import { LOG, type Log } from '../../common/log.js';
import { looksLikeId, NAME_PATTERN } from '../../common/names.js';
import { parseLabels } from '../../common/paging.js';
import { Database } from '../../database/database.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import { type ImageDto, toImageDto, type UploadQuery } from './dto/image.dto.js';
import { ImageRepository } from './image.repository.js';
import { ImagesService, uniqueName } from './images.service.js';
import { imageGone, OpenUploads } from './open-uploads.js';

/** Images that come as the body of a request: streamed to the host, never held in memory. */
@Injectable()
export class ImageUploads {
  constructor(
    private readonly images: ImagesService,
    private readonly repository: ImageRepository,
    private readonly database: Database,
    private readonly agent: HostAgent,
    private readonly open: OpenUploads,
    @Inject(LOG) private readonly log: Log,
  ) {}

  async upload(name: string, query: UploadQuery, request: Request): Promise<ImageDto> {
    if (!NAME_PATTERN.test(name) || looksLikeId(name)) {
      throw new ApiError('request.invalid_name', {
        detail: `"${name}" is not a valid name.`,
        remedy: 'Use lower-case letters, digits and hyphens, at most 63 characters, and nothing that could be an id.',
        field: 'image',
      });
    }
    if (request.headers['content-type'] !== 'application/octet-stream') {
      throw new ApiError('request.unsupported_media_type', {
        detail: 'The content of an image is sent as application/octet-stream.',
        remedy: 'Set the header Content-Type to application/octet-stream.',
      });
    }
    const labels = query.labels === undefined ? {} : parseLabels(query.labels);
    const image = this.images.newImage({ name, kind: query.kind, format: query.format, labels }, { upload: true });
    const target = { kind: 'image' as const, id: image.id, name };
    await uniqueName(name, () =>
      this.database.write(async (tx) => {
        await this.repository.insert(image, tx.db);
        tx.emit({ kind: 'image.created', target, data: { state: image.state } });
      }),
    );
    const { signal, end } = this.open.begin(image.id);
    try {
      const facts = await this.agent.uploadImage(
        { id: image.id, kind: query.kind, format: query.format, ...(query.sha256 === undefined ? {} : { sha256: query.sha256 }) },
        request,
        { signal },
      );
      await this.database.write(async (tx) => {
        signal.throwIfAborted();
        if ((await this.repository.find(image.id, tx.db)) === undefined) throw imageGone();
        await this.repository.markReady(image.id, facts, tx.db);
        tx.emit({ kind: 'image.ready', target, data: facts });
      });
      return toImageDto({ ...image, ...facts, state: 'ready' });
    } catch (thrown) {
      const error: unknown = signal.aborted ? signal.reason : thrown;
      // Its client may go on sending for ever; nobody takes that in any more.
      if (signal.aborted) request.res?.setHeader('Connection', 'close');
      await this.discard(target, error);
      throw error;
    } finally {
      end();
    }
  }

  /** Uploads that a crash cut off cannot go on: their client is gone. */
  async discardInterrupted(importing: readonly string[]): Promise<void> {
    for (const id of importing) {
      const image = await this.repository.find(id);
      if (image?.source.upload === true && image.state === 'importing')
        await this.discard({ kind: 'image', id, name: image.name }, cutOff());
    }
  }

  /**
   * Forgets an upload that failed. Never fails itself: the client is to hear why its upload did. The row goes first, so that the name
   * is free also while the agent is away; a file that it cannot remove now is an orphan, which is collected.
   */
  private async discard(target: Target, error: unknown): Promise<void> {
    const { id } = target;
    try {
      await this.database.write(async (tx) => {
        if ((await this.repository.find(id, tx.db)) === undefined) return; // deleted, which was told
        await this.repository.remove(id, tx.db);
        tx.emit({ kind: 'image.failed', target, data: { code: ApiError.from(error).code } });
      });
      await this.agent.removeImage({ id });
    } catch (failure) {
      this.log.warn({ err: failure, image: id }, 'what is left of a failed upload is removed later');
    }
  }
}

function cutOff(): ApiError {
  return new ApiError('operation.interrupted', {
    detail: 'The orchestrator ended during the upload.',
    remedy: 'Upload the image again.',
  });
}
