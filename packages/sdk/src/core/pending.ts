// SPDX-License-Identifier: Apache-2.0
import { OperationError } from './errors.js';
import type { RequestOptions } from './options.js';
import type { Transport } from '../internal/transport.js';
import type { Operation } from '../schema.gen.js';

/** Options of calls that start an operation. */
export interface OperationOptions extends RequestOptions {
  /** Called about each second with the operation while it runs. */
  readonly onProgress?: (operation: Operation) => void;
}

/** Seconds one request waits for the end of an operation. */
const waitSeconds = 20;

/**
 * A change under way. Await it for its end, or ask for the operation right after it was accepted:
 *
 * ```ts
 * const machine = await client.machines.create(params);               // until it runs
 * const operation = await client.machines.create(params).accepted();  // at once
 * ```
 */
export class Pending<T> implements PromiseLike<T> {
  readonly #accepted: Promise<Operation>;
  readonly #finish: () => Promise<T>;
  #result: Promise<T> | undefined;

  constructor(transport: Transport, accepted: Promise<Operation>, finish: (operation: Operation) => Promise<T>, options: OperationOptions) {
    this.#accepted = accepted;
    // Whoever awaits sees the failure; a caller who never does must not bring the process down.
    accepted.catch(() => undefined);
    this.#finish = async () => finish(await waitForEnd(transport, await accepted, options));
  }

  /** The operation as the server accepted it, without waiting for its end. Rejects if the request was refused. */
  accepted(): Promise<Operation> {
    return this.#accepted;
  }

  // biome-ignore lint/suspicious/noThenProperty: a pending change is awaitable by design.
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#result ??= this.#finish();
    return this.#result.then(onFulfilled, onRejected);
  }
}

/** Waits until an operation has ended; one that did not succeed becomes an `OperationError`. */
export async function waitForEnd(transport: Transport, started: Operation, options: OperationOptions): Promise<Operation> {
  let operation = started;
  const step = options.onProgress === undefined ? waitSeconds : 1;
  while (operation.state === 'pending' || operation.state === 'running') {
    options.onProgress?.(operation);
    const path = `/v1/operations/${encodeURIComponent(operation.id)}`;
    operation = await transport.json<Operation>({ method: 'GET', path, waitSeconds: step }, options);
  }
  options.onProgress?.(operation);
  if (operation.state !== 'succeeded') throw new OperationError(operation.id, operation.state, operation.error);
  return operation;
}
