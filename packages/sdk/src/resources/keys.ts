// SPDX-License-Identifier: Apache-2.0
import { List, type PageBody } from '../core/pagination.js';
import type { RequestOptions } from '../core/options.js';
import { query } from '../internal/query.js';
import type { Transport } from '../internal/transport.js';
import type { CreateKey, Key, NewKey, WhoAmI } from '../schema.gen.js';

/** API keys. Administrators only, but for `whoAmI`. */
export class Keys {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Makes a key. Its text is shown this once: a repeat with the same idempotency key, also one that this client makes because
   * an answer was lost on the way, fails with `key.secret_shown_once`. The key exists then; delete it and make another.
   */
  create(params: CreateKey, options: RequestOptions = {}): Promise<NewKey> {
    return this.#transport.json({ method: 'POST', path: '/v1/keys', json: params }, options);
  }

  list(filter: { readonly limit?: number } = {}, options: RequestOptions = {}): List<Key> {
    return new List((cursor) =>
      this.#transport.json<PageBody<Key>>({ method: 'GET', path: `/v1/keys${query({ ...filter, cursor })}` }, options),
    );
  }

  async delete(key: string, options: RequestOptions = {}): Promise<void> {
    await this.#transport.send({ method: 'DELETE', path: `/v1/keys/${encodeURIComponent(key)}` }, options);
  }

  /** Which key this client uses, and what it may do. */
  whoAmI(options: RequestOptions = {}): Promise<WhoAmI> {
    return this.#transport.json({ method: 'GET', path: '/v1/whoami' }, options);
  }
}
