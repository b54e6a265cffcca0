// SPDX-License-Identifier: Apache-2.0
import { AbortedError, ConnectionError, FlotillaError } from './errors.js';
import type { RequestOptions } from './options.js';
import { query } from '../internal/query.js';
import { retryDelay, sleep } from '../internal/retry.js';
import { readMessages } from '../internal/sse.js';
import type { Transport } from '../internal/transport.js';

/** Which events, and from where on. */
export interface EventFilter {
  /** Only these kinds, for example `machine.state`. */
  readonly kinds?: readonly string[];
  /** Only events about this resource id. */
  readonly target?: string;
  /** Only events with a greater id. Default: those from now on. */
  readonly after?: number;
}

/**
 * Events as they happen. A broken connection is taken up again after the last event seen, or after where the server said the
 * stream begins, so nothing is lost; when the server no longer has what was missed, iteration fails with `events.too_old` and the
 * caller lists anew. A loop that leaves events unread for a minute is disconnected by the server, and goes on where it was.
 */
export class EventStream<E extends { readonly id: number }> implements AsyncIterable<E> {
  readonly #transport: Transport;
  readonly #filter: EventFilter;
  readonly #options: RequestOptions;

  constructor(transport: Transport, filter: EventFilter, options: RequestOptions) {
    this.#transport = transport;
    this.#filter = filter;
    this.#options = options;
  }

  [Symbol.asyncIterator](): AsyncGenerator<E> {
    return this.#follow(undefined);
  }

  /** Resolves once the server has begun to collect events for this stream: what happens from then on is not missed. */
  async opened(): Promise<AsyncIterable<E>> {
    const first = await this.#connect(this.#filter.after, this.#options.signal);
    return { [Symbol.asyncIterator]: () => this.#follow(first) };
  }

  async *#follow(first: Response | undefined): AsyncGenerator<E> {
    let opened = first;
    const stop = new AbortController();
    const signal = this.#options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, this.#options.signal]);
    let after = this.#filter.after;
    let failures = 0;
    try {
      for (;;) {
        try {
          const response = opened ?? (await this.#connect(after, signal));
          opened = undefined;
          failures = 0;
          if (response.body === null) return;
          for await (const { id, data } of readMessages(response.body)) {
            if (id !== undefined) after = Number(id);
            if (data !== undefined) yield JSON.parse(data) as E;
          }
        } catch (error) {
          if (this.#options.signal?.aborted === true) throw new AbortedError(this.#options.signal.reason);
          if (error instanceof FlotillaError && !(error instanceof ConnectionError)) throw error;
          failures += 1;
          if (failures > (this.#options.maxRetries ?? 10)) throw error;
        }
        await sleep(retryDelay(failures, new Error()), signal);
      }
    } finally {
      stop.abort();
    }
  }

  #connect(after: number | undefined, signal: AbortSignal | undefined): Promise<Response> {
    const { kinds, target } = this.#filter;
    return this.#transport.send(
      {
        method: 'GET',
        path: `/v1/events${query({ kinds, target })}`,
        headers: { accept: 'text/event-stream', ...(after === undefined ? {} : { 'last-event-id': String(after) }) },
      },
      { ...this.#options, ...(signal === undefined ? {} : { signal }), maxRetries: 0 },
    );
  }
}
