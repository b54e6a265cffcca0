// SPDX-License-Identifier: Apache-2.0
import { type EventFilter, EventStream } from './core/event-stream.js';
import type { ClientOptions, RequestOptions } from './core/options.js';
import { Transport } from './internal/transport.js';
import { Images } from './resources/images.js';
import { AuditLog, Hosts } from './resources/inventory.js';
import { Keys } from './resources/keys.js';
import { Machines } from './resources/machines.js';
import { Networks } from './resources/networks.js';
import { Operations } from './resources/operations.js';
import { Pools } from './resources/pools.js';
import { Volumes } from './resources/volumes.js';
import type { Event } from './schema.gen.js';

/**
 * A client of one orchestrator.
 *
 * ```ts
 * const flotilla = new Flotilla({ baseUrl: 'http://127.0.0.1:7070', apiKey });
 * const machine = await flotilla.machines.create({ name: 'web', cpus: 1, memoryMiB: 512, boot: { kernel: 'debian' } });
 * ```
 */
export class Flotilla {
  readonly machines: Machines;
  readonly images: Images;
  readonly operations: Operations;
  readonly networks: Networks;
  readonly volumes: Volumes;
  readonly pools: Pools;
  readonly hosts: Hosts;
  readonly keys: Keys;
  readonly audit: AuditLog;
  readonly #transport: Transport;

  constructor(options: ClientOptions = {}) {
    const transport = new Transport(options);
    this.#transport = transport;
    this.machines = new Machines(transport);
    this.images = new Images(transport);
    this.operations = new Operations(transport);
    this.networks = new Networks(transport, '/v1/networks');
    this.volumes = new Volumes(transport);
    this.pools = new Pools(transport, '/v1/pools');
    this.hosts = new Hosts(transport, '/v1/hosts');
    this.keys = new Keys(transport);
    this.audit = new AuditLog(transport);
  }

  /** The address this client speaks to. */
  get baseUrl(): string {
    return this.#transport.baseUrl;
  }

  /** Events as they happen, as an async iterable that survives lost connections. */
  events(filter: EventFilter = {}, options: RequestOptions = {}): EventStream<Event> {
    return new EventStream<Event>(this.#transport, filter, options);
  }
}
