// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import type { CreateMachine } from './dto/machine-requests.dto.js';

/** What an interface may be on, the rarest first: it is the one that is told of. */
const KINDS = ['macvtap', 'user', 'network'] as const;

/** Refuses interfaces that are to be on two networks, and addresses for those that are on none of ours. */
export function requireOneNetwork(body: CreateMachine): void {
  for (const [index, link] of (body.interfaces ?? []).entries()) {
    if (link.address !== undefined && (link.user !== undefined || link.macvtap !== undefined)) {
      throw new ApiError('spec.network_conflict', {
        detail: 'Only a network of ours keeps an address for an interface.',
        remedy: 'Leave address out, or put the interface on a network.',
        field: `interfaces[${index}].address`,
      });
    }
    const [one, other] = KINDS.filter((kind) => link[kind] !== undefined);
    if (one === undefined || other === undefined) continue;
    throw new ApiError('spec.network_conflict', {
      detail: 'An interface has a network, user-mode networking or a link of the host.',
      remedy: 'Leave two of network, user and macvtap out.',
      field: `interfaces[${index}].${one}`,
    });
  }
}
