// SPDX-License-Identifier: Apache-2.0
import type { RequestOptions } from '../core/options.js';
import { type OperationOptions, Pending } from '../core/pending.js';
import { query } from '../internal/query.js';
import type { Call } from '../internal/transport.js';
import type { DefinePool, Operation, Pool, UpdatePool } from '../schema.gen.js';
import { Inventory } from './inventory.js';

/** Storage pools. */
export class Pools extends Inventory<Pool> {
  /** Makes the place of a pool and starts it, unless `start` is false; resolves when that is done. */
  define(params: DefinePool, options: OperationOptions = {}): Pending<Pool> {
    return this.#change({ method: 'POST', path: this.path, json: params }, options);
  }

  /** Makes its volumes usable. */
  start(pool: string, options: OperationOptions = {}): Pending<Pool> {
    return this.#change({ method: 'POST', path: `${this.#pathOf(pool)}/start`, json: {} }, options);
  }

  /**
   * Lets go of it. Refused with `pool.in_use` while machines use its volumes. `force`: also when its server does not answer, or something
   * else of the host has files of it open. Default: false.
   */
  stop(pool: string, { force, ...options }: OperationOptions & { readonly force?: boolean } = {}): Pending<Pool> {
    const json = force === undefined ? {} : { force };
    return this.#change({ method: 'POST', path: `${this.#pathOf(pool)}/stop`, json }, options);
  }

  /** Looks at it anew: whether it is there, and how full it is. */
  refresh(pool: string, options: OperationOptions = {}): Pending<Pool> {
    return this.#change({ method: 'POST', path: `${this.#pathOf(pool)}/refresh`, json: {} }, options);
  }

  /** Changes autostart, guard or over-commit ratio. */
  update(pool: string, params: UpdatePool, options: RequestOptions = {}): Promise<Pool> {
    return this.transport.json({ method: 'PATCH', path: this.#pathOf(pool), json: params }, options);
  }

  /** Deletes it. Refused with `pool.not_empty` while it holds volumes. `force`: also when the host cannot reach it. Default: false. */
  delete(pool: string, { force, ...options }: OperationOptions & { readonly force?: boolean } = {}): Pending<void> {
    const accepted = this.transport.json<Operation>({ method: 'DELETE', path: `${this.#pathOf(pool)}${query({ force })}` }, options);
    return new Pending(this.transport, accepted, async () => undefined, options);
  }

  #change(call: Call, options: OperationOptions): Pending<Pool> {
    const accepted = this.transport.json<Operation>(call, options);
    return new Pending(this.transport, accepted, (operation) => this.get(operation.target.id, options), options);
  }

  #pathOf(pool: string): string {
    return `${this.path}/${encodeURIComponent(pool)}`;
  }
}
