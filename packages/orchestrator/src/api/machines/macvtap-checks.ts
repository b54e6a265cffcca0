// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import type { CreateMachine } from './dto/machine-requests.dto.js';

/** Refuses interfaces with two networks. */
export function checkMacvtaps(body: CreateMachine): void {
  for (const [index, { macvtap, network, user }] of (body.interfaces ?? []).entries()) {
    if (macvtap === undefined || (network === undefined && user === undefined)) continue;
    throw new ApiError('spec.network_conflict', {
      detail: 'An interface has a network, user-mode networking or a link of the host.',
      remedy: 'Leave two of network, user and macvtap out.',
      field: `interfaces[${index}].macvtap`,
    });
  }
}
