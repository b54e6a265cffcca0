// SPDX-License-Identifier: Apache-2.0
import { List, type PageBody } from '../core/pagination.js';
import type { RequestOptions } from '../core/options.js';
import { type OperationOptions, Pending } from '../core/pending.js';
import { query } from '../internal/query.js';
import type { Transport } from '../internal/transport.js';
import type { CreateVolume, MoveVolume, Operation, UpdateVolume, Volume } from '../schema.gen.js';

/** Which volumes to list. */
export interface VolumeFilter {
  /** Only volumes with all of these labels. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Only the volume of this name. */
  readonly name?: string;
  /** Volumes on each page, 1 to 200. Default 50. */
  readonly limit?: number;
}

/** Volumes: the disks of machines. A volume is named by its id or its name. */
export class Volumes {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Makes a volume, empty, from an image, or as a copy of another one; resolves when it is ready. */
  create(params: CreateVolume, options: OperationOptions = {}): Pending<Volume> {
    const accepted = this.#transport.json<Operation>({ method: 'POST', path: '/v1/volumes', json: params }, options);
    return new Pending(this.#transport, accepted, (operation) => this.get(operation.target.id, options), options);
  }

  get(volume: string, options: RequestOptions = {}): Promise<Volume> {
    return this.#transport.json({ method: 'GET', path: pathOf(volume) }, options);
  }

  list(filter: VolumeFilter = {}, options: RequestOptions = {}): List<Volume> {
    return new List((cursor) =>
      this.#transport.json<PageBody<Volume>>({ method: 'GET', path: `/v1/volumes${query({ ...filter, cursor })}` }, options),
    );
  }

  /** Makes a volume larger, also under a running machine, whose guest is told at once. Never smaller. */
  resize(volume: string, params: UpdateVolume, options: RequestOptions = {}): Promise<Volume> {
    return this.#transport.json({ method: 'PATCH', path: pathOf(volume), json: params }, options);
  }

  /** Takes it into another pool, where it is raw; its machine is stopped. Resolves when the old one is removed. */
  move(volume: string, params: MoveVolume, options: OperationOptions = {}): Pending<Volume> {
    const accepted = this.#transport.json<Operation>({ method: 'POST', path: `${pathOf(volume)}/move`, json: params }, options);
    return new Pending(this.#transport, accepted, (operation) => this.get(operation.target.id, options), options);
  }

  /** Deletes it. Refused with `volume.in_use` while a machine holds it. `force`: also when the host cannot reach its pool. Default: false. */
  delete(volume: string, { force, ...options }: OperationOptions & { readonly force?: boolean } = {}): Pending<void> {
    const accepted = this.#transport.json<Operation>({ method: 'DELETE', path: `${pathOf(volume)}${query({ force })}` }, options);
    return new Pending(this.#transport, accepted, async () => undefined, options);
  }
}

function pathOf(volume: string): string {
  return `/v1/volumes/${encodeURIComponent(volume)}`;
}
