// SPDX-License-Identifier: Apache-2.0
import { List, type PageBody } from '../core/pagination.js';
import type { RequestOptions } from '../core/options.js';
import { query } from '../internal/query.js';
import type { DefineNetwork, Network, UpdateNetwork } from '../schema.gen.js';
import { Inventory } from './inventory.js';

/** Networks, and the leases on them. */
export class Networks extends Inventory<Network> {
  override list(
    filter: { readonly labels?: Readonly<Record<string, string>>; readonly name?: string; readonly limit?: number } = {},
    options: RequestOptions = {},
  ): List<Network> {
    return new List((cursor) =>
      this.transport.json<PageBody<Network>>({ method: 'GET', path: `${this.path}${query({ ...filter, cursor })}` }, options),
    );
  }

  /** Defines a network. The host has it while machines use it. */
  define(params: DefineNetwork, options: RequestOptions = {}): Promise<Network> {
    return this.transport.json({ method: 'POST', path: this.path, json: params }, options);
  }

  /** Changes MTU, domain or labels. */
  update(network: string, params: UpdateNetwork, options: RequestOptions = {}): Promise<Network> {
    return this.transport.json({ method: 'PATCH', path: this.#pathOf(network), json: params }, options);
  }

  /** Deletes it. Refused with `network.in_use` while machines are on it, running or not. */
  async delete(network: string, options: RequestOptions = {}): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: this.#pathOf(network) }, options);
  }

  #pathOf(network: string): string {
    return `${this.path}/${encodeURIComponent(network)}`;
  }
}
