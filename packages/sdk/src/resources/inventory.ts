// SPDX-License-Identifier: Apache-2.0
// Resources that are mostly read: hosts, the audit log.
import { List, type PageBody } from '../core/pagination.js';
import type { RequestOptions } from '../core/options.js';
import { query } from '../internal/query.js';
import type { Transport } from '../internal/transport.js';
import type { Audit, Host, HostReport } from '../schema.gen.js';

/** A resource that is listed and read by id or name. */
export class Inventory<T> {
  protected readonly transport: Transport;
  protected readonly path: string;

  constructor(transport: Transport, path: string) {
    this.transport = transport;
    this.path = path;
  }

  get(idOrName: string, options: RequestOptions = {}): Promise<T> {
    return this.transport.json({ method: 'GET', path: `${this.path}/${encodeURIComponent(idOrName)}` }, options);
  }

  list(filter: { readonly limit?: number } = {}, options: RequestOptions = {}): List<T> {
    return new List((cursor) =>
      this.transport.json<PageBody<T>>({ method: 'GET', path: `${this.path}${query({ ...filter, cursor })}` }, options),
    );
  }
}

/** Hosts that run machines. */
export class Hosts extends Inventory<Host> {
  /** What the host can do, and how to mend what it cannot. */
  doctor(host: string, options: RequestOptions = {}): Promise<HostReport> {
    return this.transport.json({ method: 'GET', path: `${this.path}/${encodeURIComponent(host)}/doctor` }, options);
  }
}

/** Who changed what, and who was refused. Administrators only. */
export class AuditLog {
  readonly #entries: Inventory<Audit>;

  constructor(transport: Transport) {
    this.#entries = new Inventory(transport, '/v1/audit');
  }

  list(filter: { readonly limit?: number } = {}, options: RequestOptions = {}): List<Audit> {
    return this.#entries.list(filter, options);
  }
}
