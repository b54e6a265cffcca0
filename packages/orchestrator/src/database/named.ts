// SPDX-License-Identifier: Apache-2.0
import type { NamedPage } from '../common/paging.js';

/** What is needed of the builder of a condition. */
interface Condition<E> {
  (column: 'id' | 'name', operator: '=', value: string): E;
  or(conditions: E[]): E;
}

/** That a row has this id or this name, of which no other row has either. */
export function isCalled<E>(where: Condition<E>, idOrName: string): E {
  return where.or([where('id', '=', idOrName), where('name', '=', idOrName)]);
}

/** What is needed of a query to read a page of it. */
interface Paged<Q> {
  orderBy(column: 'id'): Q;
  limit(rows: number): Q;
  where(column: 'id' | 'name', operator: '>' | '=', value: string): Q;
}

/** The rows of a page in the order of their ids, and one more if there is another page. */
export function rowsOf<Q extends Paged<Q>>(query: Q, { limit, after, name }: NamedPage): Q {
  let page = query.orderBy('id').limit(limit + 1);
  if (after !== undefined) page = page.where('id', '>', after);
  return name === undefined ? page : page.where('name', '=', name);
}
