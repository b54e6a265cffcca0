// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { currentContext } from '../../common/context.js';
import { newId } from '../../common/ids.js';
import { type Page, labelledPage, toPage } from '../../common/paging.js';
import { isSourceUrl, shownUrl } from '../../common/source-url.js';
import type { LabelledQuery } from '../../common/dto/list.dto.js';
import { type Executor, isUniqueViolation } from '../../database/database.js';
import { Config } from '../../config/config.js';
import { roleAllows } from '../auth/roles.js';
import type { Operation } from '../operations/operation.js';
import { OperationsService } from '../operations/operations.service.js';
import { type ImageDto, type ImportImage, toImageDto } from './dto/image.dto.js';
import { formatFits, keptFormat, type Image, type ImageKind } from './image.js';
import {
  ImageFormatDoesNotFit,
  ImageInUse,
  ImageIsBackingFile,
  ImageNameTaken,
  ImageNotFound,
  ImageNotReady,
  ImageWrongKind,
} from './image.errors.js';
import { ImageRepository } from './image.repository.js';
import { OpenUploads } from './open-uploads.js';

@Injectable()
export class ImagesService {
  constructor(
    private readonly repository: ImageRepository,
    private readonly operations: OperationsService,
    private readonly config: Config,
    private readonly uploads: OpenUploads,
  ) {}

  async import(body: ImportImage): Promise<Operation> {
    const source = sourceOf(body);
    if ('path' in source) requireImportRight(this.config);
    const image = this.newImage(body, 'path' in source ? source : { url: shownUrl(source.url) });
    const target = { kind: 'image' as const, id: image.id, name: image.name };
    const input = {
      ...source,
      anywhere: mayImportAnywhere(),
      kind: body.kind,
      format: body.format,
      ...(body.sha256 === undefined ? {} : { sha256: body.sha256 }),
    };
    return uniqueName(image.name, () =>
      this.operations.submit({ kind: 'image.import', target, input, result: { imageId: image.id } }, async (tx) => {
        await this.repository.insert(image, tx.db);
        tx.emit({ kind: 'image.created', target, data: { state: image.state } });
      }),
    );
  }

  async list(query: LabelledQuery): Promise<Page<ImageDto>> {
    const request = labelledPage(query);
    return toPage(await this.repository.page(request), request.limit, (image) => image.id, shown);
  }

  async get(idOrName: string): Promise<ImageDto> {
    return shown(await this.load(idOrName));
  }

  /** Deletes an image; an upload that is under way is ended. An import is an operation, which can be cancelled. */
  async remove(idOrName: string): Promise<Operation> {
    const image = await this.load(idOrName);
    const target = { kind: 'image' as const, id: image.id, name: image.name };
    const operation = await this.operations.submit({ kind: 'image.delete', target }, async (tx) => {
      const { state, source } = await this.load(image.id, tx.db);
      if (state === 'importing' && source.upload !== true) throw new ImageNotReady(image.name);
      const linked = await this.repository.linkedVolumes(image.id, tx.db);
      if (linked.length > 0) throw new ImageIsBackingFile(image.name, linked);
      const user = await this.repository.user(image.id, tx.db);
      if (user !== undefined) throw new ImageInUse(image.name, user);
      await this.repository.remove(image.id, tx.db);
      tx.emit({ kind: 'image.deleted', target, data: {} });
    });
    this.uploads.abort(image.id);
    return operation;
  }

  /** An image that a machine may use now; errors name the field that asked for it. */
  async resolve(idOrName: string, kind: ImageKind, field: string, db?: Executor): Promise<Image> {
    const image = await this.repository.find(idOrName, db);
    if (image === undefined) throw new ImageNotFound(idOrName, field);
    if (image.kind !== kind) throw new ImageWrongKind(image.name, image.kind, kind, field);
    if (image.state !== 'ready') throw new ImageNotReady(image.name, field);
    return image;
  }

  newImage(facts: Pick<ImportImage, 'name' | 'kind' | 'format' | 'labels'>, source: Image['source']): Image {
    if (!formatFits(facts.kind, facts.format)) throw new ImageFormatDoesNotFit(facts.kind, facts.format);
    return {
      id: newId('img'),
      name: facts.name,
      kind: facts.kind,
      format: keptFormat(facts.format),
      sizeBytes: 0,
      sha256: '',
      state: 'importing',
      createdAt: new Date().toISOString(),
      labels: facts.labels ?? {},
      source,
    };
  }

  private async load(idOrName: string, db?: Executor): Promise<Image> {
    const image = await this.repository.find(idOrName, db);
    if (image === undefined) throw new ImageNotFound(idOrName);
    return image;
  }
}

/** Paths tell how the host is laid out: who may name any shall see them, nobody else. */
function shown(image: Image): ImageDto {
  const { path, ...source } = image.source;
  return toImageDto(path === undefined || mayImportAnywhere() ? image : { ...image, source });
}

/** The one source of an import. */
function sourceOf({ source: { path, url }, sha256 }: ImportImage): { path: string } | { url: string } {
  if (path !== undefined && url === undefined) return { path };
  if (url === undefined || path !== undefined) {
    throw new ApiError('request.invalid_value', {
      detail: 'An image comes from a path of the host or from a URL.',
      remedy: 'Give one of path and url.',
      field: 'source',
    });
  }
  if (!isSourceUrl(url)) {
    throw new ApiError('request.invalid_value', {
      detail: 'That is no URL of HTTP or HTTPS without a name and password.',
      remedy: 'Give a URL that needs neither; for a file that does, upload it: PUT /v1/images/{name}/content.',
      field: 'source.url',
    });
  }
  if (sha256 === undefined && url.startsWith('http:')) {
    throw new ApiError('request.missing_field', {
      detail: 'Whoever is on the way can change what comes by HTTP.',
      remedy: 'Give the sha256 of the file, or a URL of HTTPS.',
      field: 'sha256',
    });
  }
  return { url };
}

function mayImportAnywhere(): boolean {
  const role = currentContext()?.principal?.role;
  return role !== undefined && roleAllows(role, 'images:import');
}

/** A path leads to any file that the host agent, often root, can read: without import roots only administrators may give one. */
function requireImportRight(config: Config): void {
  if (config.importRoots.length > 0 || mayImportAnywhere()) return;
  const principal = currentContext()?.principal;
  throw new ApiError('auth.forbidden', {
    detail: `The key "${principal?.name ?? ''}" has the role ${principal?.role ?? ''}, which lacks the permission images:import, and no directory of the host is open for imports.`,
    remedy:
      'Upload the file instead (PUT /v1/images/{name}/content, or `flotilla image import --upload`), use an admin key, or let the administrator name a directory: `flotilla up --import-root`.',
  });
}

/** Turns the violation of a unique name into the error clients know. */
export async function uniqueName<T>(name: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw isUniqueViolation(error) ? new ImageNameTaken(name) : error;
  }
}
