// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { List } from './pagination.js';

const pages: Record<string, { items: number[]; nextCursor?: string }> = {
  first: { items: [1, 2], nextCursor: 'b' },
  b: { items: [], nextCursor: 'c' },
  c: { items: [3] },
};
const list = (): List<number> => new List(async (cursor) => pages[cursor ?? 'first'] ?? { items: [] });

describe('List', () => {
  it('iterates every item of every page, also past an empty one', async () => {
    expect(await list().all()).to.deep.equal([1, 2, 3]);
  });

  it('is its first page when awaited', async () => {
    const page = await list();
    expect(page.items).to.deep.equal([1, 2]);
    expect((await page.next())?.nextCursor).to.equal('c');
  });
});
