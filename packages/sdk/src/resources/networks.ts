// SPDX-License-Identifier: Apache-2.0
import { List, type PageBody } from '../core/pagination.js';
import type { RequestOptions } from '../core/options.js';
import { query } from '../internal/query.js';
import type { AddForward, DefineNetwork, Network, NetworkForward, UpdateNetwork } from '../schema.gen.js';
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

  /** Changes MTU, domain, rules or labels. */
  update(network: string, params: UpdateNetwork, options: RequestOptions = {}): Promise<Network> {
    return this.transport.json({ method: 'PATCH', path: this.#pathOf(network), json: params }, options);
  }

  /** Deletes it. Refused with `network.in_use` while machines are on it, running or not. */
  async delete(network: string, options: RequestOptions = {}): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: this.#pathOf(network) }, options);
  }

  /** Leads a port of the host to a machine on a network of the kind `nat`. Refused with `forward.port_busy` when somebody has the port. */
  addForward(network: string, params: AddForward, options: RequestOptions = {}): Promise<NetworkForward> {
    return this.transport.json({ method: 'POST', path: `${this.#pathOf(network)}/forwards`, json: params }, options);
  }

  /** The ports of the host that lead to machines on a network. */
  forwards(network: string, filter: { readonly limit?: number } = {}, options: RequestOptions = {}): List<NetworkForward> {
    return new List((cursor) =>
      this.transport.json<PageBody<NetworkForward>>(
        { method: 'GET', path: `${this.#pathOf(network)}/forwards${query({ ...filter, cursor })}` },
        options,
      ),
    );
  }

  /** Takes a forward away. */
  async removeForward(network: string, forward: string, options: RequestOptions = {}): Promise<void> {
    await this.transport.json({ method: 'DELETE', path: `${this.#pathOf(network)}/forwards/${encodeURIComponent(forward)}` }, options);
  }

  #pathOf(network: string): string {
    return `${this.path}/${encodeURIComponent(network)}`;
  }
}
