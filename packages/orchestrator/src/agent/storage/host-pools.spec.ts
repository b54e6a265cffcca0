// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { ApiError } from '../../common/api-error.js';
import { newId } from '../../common/ids.js';
import type { PoolRef } from '../../common/pool.js';
import type { DirPool } from './dir/dir-pool.js';
import { HostPools } from './host-pools.js';
import type { StoragePool } from './storage-pool.js';

describe('The pools of a host', () => {
  const ref: PoolRef = { id: newId('poo'), kind: 'dir', config: { path: '/srv/p' }, generation: 1, guardPercent: 0 };
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

  it('are not opened again by who has asked before they were closed', async () => {
    const did: string[] = [];
    const driver = {
      open: () => Promise.resolve(did.push('open')),
      close: (force: boolean) => Promise.resolve(did.push(`close ${force}`)),
    };
    const held = new HostPools({} as DirPool, () => driver as unknown as StoragePool);
    const asked = (generation: number): PoolRef => ({ ...ref, generation });
    await held.opened(asked(1));
    await held.close(asked(2), false);
    expect(await failureOf(held.opened(asked(1)))).to.include({ code: 'pool.not_started' });
    await held.close(asked(2), true); // repeated after a kill
    await held.opened(asked(3));
    expect(did).to.deep.equal(['open', 'close false', 'close true', 'open']);
  });
});
