// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { ApiError } from '../../common/api-error.js';
import { DRIVERS, POOL_CAPABILITIES, POOL_KINDS } from '../../common/pool.js';
import { PoolUse } from './pool-use.service.js';

describe('What volumes ask of pools', () => {
  const pool = { name: 'p', kind: 'dir', overcommitRatio: 2, desired: 'started', observed: { state: 'ready' } };
  const use = new PoolUse(
    { find: () => Promise.resolve(pool), promises: () => Promise.resolve(new Map([['p', { volumes: 1, bytes: 150 }]])) } as never,
    { poolUsage: () => Promise.resolve({ capacityBytes: 100 }) } as never,
    { write: (check: (tx: object) => Promise<void>) => check({}) } as never,
  );
  const failureOf = (attempt: () => unknown): ApiError | undefined => {
    try {
      attempt();
      return undefined;
    } catch (error) {
      return error as ApiError;
    }
  };

  it('is refused by a driver that cannot do it, with those that can', () => {
    for (const kind of POOL_KINDS)
      for (const capability of POOL_CAPABILITIES) {
        const refused = failureOf(() => use.requireCapability({ name: 'p', kind }, capability, 'disks[0].clone'));
        if (DRIVERS[kind].includes(capability)) {
          expect(refused).to.equal(undefined);
          continue;
        }
        expect(refused).to.include({ code: 'pool.unsupported', field: 'disks[0].clone' });
        expect(refused?.message).to.contain(kind).and.to.contain(capability);
        const able = POOL_KINDS.filter((one) => DRIVERS[one].includes(capability));
        expect(refused?.remedy).to.contain(able.length === 0 ? 'No driver' : able.join(', '));
      }
  });

  it('is refused by the field that named a pool which was deleted meanwhile', async () => {
    const gone = new PoolUse({ find: () => Promise.resolve(undefined) } as never, {} as never, {} as never);
    const refused = await gone.requireStarted(['p'], undefined, 'disks[0].pool').catch((error: ApiError) => error);
    expect(refused).to.include({ code: 'pool.not_found', status: 422, field: 'disks[0].pool' });
  });

  it('counts what grows at this moment', async () => {
    const grow = (bytes: number, during: () => Promise<unknown> = () => Promise.resolve()) =>
      use.whileGrowing({ pool: 'p', bytes, field: 'sizeMiB' }, during).then(
        () => 'done',
        (error: unknown) => (error as ApiError).code,
      );
    let inner: unknown;
    expect(await grow(30, async () => (inner = await grow(30)))).to.equal('done');
    expect([inner, await grow(50), await grow(51)]).to.deep.equal(['pool.overcommitted', 'done', 'pool.overcommitted']);
  });
});
