// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { ApiError } from '../../common/api-error.js';
import { StorageLook } from './storage-look.js';

describe('A look at storage', () => {
  it('is one for all that wait, and given up in time', async () => {
    let begun = 0;
    let answer = (_: number) => {};
    const look = new StorageLook(
      '/srv/pool',
      () => {
        begun += 1;
        return new Promise<number>((resolve) => {
          answer = resolve;
        });
      },
      20,
    );
    const codeOf = (error: unknown) => (error as ApiError).code;
    const early = [look.run(), look.run()].map((one) => one.catch(codeOf));
    expect(await Promise.all(early)).to.deep.equal(['pool.unavailable', 'pool.unavailable']);
    expect(await look.run().catch(codeOf), 'who comes late').to.equal('pool.unavailable');
    expect(begun).to.equal(1);
    answer(7);
    await new Promise(setImmediate);
    const next = look.run();
    answer(8);
    expect([await next, begun]).to.deep.equal([8, 2]);
  });

  it('tells why it failed, and is made again', async () => {
    const reasons = ['no 1', 'no 2'];
    const left = [...reasons];
    const look = new StorageLook('/srv/pool', () => Promise.reject(new Error(left.shift())));
    for (const reason of reasons) expect(await look.run().catch((error: Error) => error.message)).to.equal(reason);
  });
});
