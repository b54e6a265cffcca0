// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Request } from 'express';
import { ApiError } from '../../common/api-error.js';
import { looksLikeId, NAME_PATTERN } from '../../common/names.js';
import { parseLabels } from '../../common/paging.js';
import { Database } from '../../database/database.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import { type ImageDto, toImageDto, type UploadQuery } from './dto/image.dto.js';
import { ImageRepository } from './image.repository.js';
import { ImagesService, uniqueName } from './images.service.js';

/** Images that come as the body of a request: streamed to the host, never held in memory. */
@Injectable()
export class ImageUploads {
  constructor(
    private readonly images: ImagesService,
    private readonly repository: ImageRepository,
    private readonly database: Database,
    private readonly agent: HostAgent,
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
    try {
      const facts = await this.agent.uploadImage(
        { id: image.id, kind: query.kind, format: query.format, ...(query.sha256 === undefined ? {} : { sha256: query.sha256 }) },
        request,
        {},
      );
      await this.database.write(async (tx) => {
        await this.repository.markReady(image.id, facts, tx.db);
        tx.emit({ kind: 'image.ready', target, data: facts });
      });
      return toImageDto({ ...image, ...facts, state: 'ready' });
    } catch (error) {
      await this.discard(image.id);
      throw error;
    }
  }

  /** Uploads that a crash cut off cannot go on: their client is gone. */
  async discardInterrupted(importing: readonly string[]): Promise<void> {
    for (const id of importing) {
      const image = await this.repository.find(id);
      if (image?.source.upload === true && image.state === 'importing') await this.discard(id);
    }
  }

  private async discard(id: string): Promise<void> {
    await this.agent.removeImage({ id });
    await this.database.write((tx) => this.repository.remove(id, tx.db));
  }
}
