// SPDX-License-Identifier: Apache-2.0
import { AsyncLocalStorage } from 'node:async_hooks';

/** Who asks: an API key, or Flotilla itself. */
export interface Principal {
  id: string;
  name: string;
  role: 'admin' | 'operator' | 'viewer';
}

/** What is known about the request that runs now. */
export interface RequestContext {
  requestId: string;
  principal?: Principal;
}

const storage = new AsyncLocalStorage<RequestContext>();

/** Runs a function with a request context that everything below it can read. */
export function runInContext<T>(context: RequestContext, run: () => T): T {
  return storage.run(context, run);
}

/** Runs background work as Flotilla itself: what set it off may have been the request of a client, on whose behalf it is not. */
export function runAsSystem<T>(run: () => T): T {
  return storage.exit(run);
}

/** The context of the running request; undefined in background work. */
export function currentContext(): RequestContext | undefined {
  return storage.getStore();
}
