// SPDX-License-Identifier: Apache-2.0

/** One page of a list as the API answers it. */
export interface PageBody<T> {
  readonly items: readonly T[];
  readonly nextCursor?: string | undefined;
}

/** One page, and the way to the next. */
export class Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | undefined;
  readonly #fetchPage: (cursor: string) => Promise<PageBody<T>>;

  constructor(body: PageBody<T>, fetchPage: (cursor: string) => Promise<PageBody<T>>) {
    this.items = body.items;
    this.nextCursor = body.nextCursor;
    this.#fetchPage = fetchPage;
  }

  /** The page after this one, `undefined` after the last. */
  async next(): Promise<Page<T> | undefined> {
    if (this.nextCursor === undefined) return undefined;
    return new Page(await this.#fetchPage(this.nextCursor), this.#fetchPage);
  }
}

/**
 * A list that can be awaited (its first page) or iterated (every item of every page):
 *
 * ```ts
 * for await (const machine of client.machines.list()) console.log(machine.name);
 * ```
 */
export class List<T> implements PromiseLike<Page<T>>, AsyncIterable<T> {
  readonly #fetchPage: (cursor: string | undefined) => Promise<PageBody<T>>;

  constructor(fetchPage: (cursor: string | undefined) => Promise<PageBody<T>>) {
    this.#fetchPage = fetchPage;
  }

  // biome-ignore lint/suspicious/noThenProperty: a list is awaitable by design.
  then<A = Page<T>, B = never>(
    onFulfilled?: ((page: Page<T>) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#first().then(onFulfilled, onRejected);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    let page: Page<T> | undefined = await this.#first();
    while (page !== undefined) {
      yield* page.items;
      page = await page.next();
    }
  }

  /** Every item, in one array. */
  async all(): Promise<T[]> {
    const items: T[] = [];
    for await (const item of this) items.push(item);
    return items;
  }

  async #first(): Promise<Page<T>> {
    return new Page(await this.#fetchPage(undefined), this.#fetchPage);
  }
}
