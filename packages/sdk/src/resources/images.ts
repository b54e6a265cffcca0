// SPDX-License-Identifier: Apache-2.0
import { List, type PageBody } from '../core/pagination.js';
import type { RequestOptions } from '../core/options.js';
import { type OperationOptions, Pending } from '../core/pending.js';
import { type QueryValue, query } from '../internal/query.js';
import type { Transport } from '../internal/transport.js';
import type { Image, ImportImage, Operation } from '../schema.gen.js';

/** What is uploaded. */
export interface UploadParams {
  readonly kind: ImportImage['kind'];
  readonly format: ImportImage['format'];
  /** Expected SHA-256, 64 hexadecimal digits: the upload is refused if the content differs. */
  readonly sha256?: string;
  /** Labels of the new image. */
  readonly labels?: Readonly<Record<string, string>>;
}

/** Kernels, initrds and disks that machines start from. */
export class Images {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Imports a file of the orchestrator's host, or one that it downloads; resolves when the image is ready. */
  import(params: ImportImage, options: OperationOptions = {}): Pending<Image> {
    const accepted = this.#transport.json<Operation>({ method: 'POST', path: '/v1/images', json: params }, options);
    return new Pending(this.#transport, accepted, (operation) => this.get(operation.target.id, options), options);
  }

  /** Uploads an image from here, as bytes or as a stream; resolves when it is ready. */
  upload(
    name: string,
    content: Uint8Array | Blob | ReadableStream<Uint8Array>,
    params: UploadParams,
    options: RequestOptions = {},
  ): Promise<Image> {
    const path = `/v1/images/${encodeURIComponent(name)}/content${query(params as unknown as Record<string, QueryValue>)}`;
    const headers = { 'content-type': 'application/octet-stream' };
    return this.#transport.json({ method: 'PUT', path, body: content as BodyInit, headers, unhurried: true }, options);
  }

  get(image: string, options: RequestOptions = {}): Promise<Image> {
    return this.#transport.json({ method: 'GET', path: `/v1/images/${encodeURIComponent(image)}` }, options);
  }

  list(
    filter: { readonly labels?: Readonly<Record<string, string>>; readonly name?: string; readonly limit?: number } = {},
    options: RequestOptions = {},
  ): List<Image> {
    return new List((cursor) =>
      this.#transport.json<PageBody<Image>>({ method: 'GET', path: `/v1/images${query({ ...filter, cursor })}` }, options),
    );
  }

  /** Deletes an image. Refused with `image.in_use` while a machine is made from it, or a linked volume is based on it. */
  delete(image: string, options: OperationOptions = {}): Pending<void> {
    const accepted = this.#transport.json<Operation>({ method: 'DELETE', path: `/v1/images/${encodeURIComponent(image)}` }, options);
    return new Pending(this.#transport, accepted, async () => undefined, options);
  }
}
