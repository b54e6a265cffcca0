// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import type { CreateMachine } from './dto/machine-requests.dto.js';

/** What an interface may be on, the rarest first: it is the one that is told of. */
const KINDS = ['macvtap', 'user', 'network'] as const;

/** Refuses interfaces that are to be on two networks. */
export function requireOneNetwork(body: CreateMachine): void {
  for (const [index, link] of (body.interfaces ?? []).entries()) {
    const [one, other] = KINDS.filter((kind) => link[kind] !== undefined);
    if (one === undefined || other === undefined) continue;
    throw new ApiError('spec.network_conflict', {
      detail: 'An interface has a network, user-mode networking or a link of the host.',
      remedy: 'Leave two of network, user and macvtap out.',
      field: `interfaces[${index}].${one}`,
    });
  }
}
