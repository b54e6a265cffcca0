// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { ApiError } from '../../common/api-error.js';
import type { CreateMachine } from './dto/machine-requests.dto.js';
import { requireOneNetwork } from './network-checks.js';

describe('the network of an interface', () => {
  const refused = (...links: Record<string, unknown>[]) => {
    try {
      requireOneNetwork({ interfaces: links } as unknown as CreateMachine);
      return undefined;
    } catch (error) {
      return [(error as ApiError).code, (error as ApiError).field];
    }
  };

  it('is one', () => {
    const macvtap = { parent: 'eth0' };
    expect(refused({}, { network: 'n' }, { user: {} }, { macvtap })).to.equal(undefined);
    for (const [link, kind] of [
      [{ user: {}, network: 'n' }, 'user'],
      [{ macvtap, network: 'n' }, 'macvtap'],
      [{ macvtap, user: {} }, 'macvtap'],
    ] as const)
      expect(refused({ network: 'n' }, link)).to.deep.equal(['spec.network_conflict', `interfaces[1].${kind}`]);
  });
});
