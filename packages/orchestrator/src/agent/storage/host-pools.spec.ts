// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { ApiError } from '../../common/api-error.js';
import { newId } from '../../common/ids.js';
import type { PoolRef } from '../../common/pool.js';
import type { DirPool } from './dir/dir-pool.js';
import { HostPools } from './host-pools.js';
import type { StoragePool } from './storage-pool.js';

describe('The pools of a host', () => {
  const ref: PoolRef = { id: newId('poo'), kind: 'dir', config: { path: '/srv/p' }, guardPercent: 0 };
  const away = new ApiError('pool.unavailable', { detail: 'It is gone.', remedy: 'Bring it back.' });
  const lost = new Error('ENOENT');

  /** Its storage goes, or stays, while something is done with it that fails. */
  const pools = (goes: boolean) => {
    let there = true;
    const pool = {
      open: () => (there ? Promise.resolve() : Promise.reject(away)),
      usage: () => {
        there = !goes;
        return Promise.reject(lost);
      },
    } as unknown as StoragePool;
    return new HostPools({} as DirPool, () => pool);
  };
  const failureOf = (attempt: Promise<unknown>) => attempt.catch((error: unknown) => error);

  it('say of one that goes away during its use that it is away', async () => {
    expect(await failureOf(pools(true).open(ref))).to.equal(away);
    expect(await failureOf(pools(false).open(ref))).to.equal(lost);
    const full = new ApiError('pool.full', { detail: 'It is full.', remedy: 'Free space.' });
    expect(await failureOf(pools(true).use(ref, () => Promise.reject(full)))).to.equal(full);
  });
});
