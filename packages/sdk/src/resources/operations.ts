// SPDX-License-Identifier: Apache-2.0
import { List, type PageBody } from '../core/pagination.js';
import type { RequestOptions } from '../core/options.js';
import { type OperationOptions, waitForEnd } from '../core/pending.js';
import { query } from '../internal/query.js';
import type { Transport } from '../internal/transport.js';
import type { Operation } from '../schema.gen.js';

/** Changes under way and past ones. */
export class Operations {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  get(operation: string, options: RequestOptions = {}): Promise<Operation> {
    return this.#transport.json({ method: 'GET', path: pathOf(operation) }, options);
  }

  list(
    filter: { readonly target?: string; readonly state?: Operation['state']; readonly limit?: number } = {},
    options: RequestOptions = {},
  ): List<Operation> {
    return new List((cursor) =>
      this.#transport.json<PageBody<Operation>>({ method: 'GET', path: `/v1/operations${query({ ...filter, cursor })}` }, options),
    );
  }

  /** Waits for the end; an operation that did not succeed becomes an `OperationError`. */
  async wait(operation: string, options: OperationOptions = {}): Promise<Operation> {
    return waitForEnd(this.#transport, await this.get(operation, options), options);
  }

  /** Asks for a stop; what was done is taken back. */
  cancel(operation: string, options: RequestOptions = {}): Promise<Operation> {
    return this.#transport.json({ method: 'POST', path: `${pathOf(operation)}/cancel`, json: {} }, options);
  }
}

function pathOf(operation: string): string {
  return `/v1/operations/${encodeURIComponent(operation)}`;
}
