// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import { type Forward, isAddress } from '../../common/user-network.js';
import type { CreateMachine } from './dto/machine-requests.dto.js';

/** Refuses what no passt process could do. */
export function checkUserNetworks(body: CreateMachine): void {
  const taken = new Set<string>();
  for (const [index, link] of (body.interfaces ?? []).entries()) {
    const field = `interfaces[${index}]`;
    const { user } = link;
    if (user === undefined) continue;
    if (link.backend === 'vhost')
      throw new Conflict('The kernel moves no frames of user-mode networking.', 'Leave backend out.', `${field}.backend`);
    if ((link.queues ?? 1) > 1) throw new Conflict('User-mode networking has one pair of queues.', 'Leave queues out.', `${field}.queues`);
    for (const [at, forward] of (user.forwards ?? []).entries()) checkForward(forward, taken, `${field}.user.forwards[${at}]`);
  }
}

function checkForward({ protocol, hostAddress, hostPort }: Forward, taken: Set<string>, field: string): void {
  if (hostAddress !== undefined && !isAddress(hostAddress)) {
    throw new ApiError('spec.forward_invalid', {
      detail: 'This is neither an IPv4 nor an IPv6 address.',
      remedy: 'Give an address that the host has, or leave hostAddress out for its loopback.',
      field: `${field}.hostAddress`,
    });
  }
  const port = `${protocol} ${hostPort}`;
  if (taken.has(port)) {
    throw new ApiError('spec.forward_invalid', {
      detail: `The port ${port} of the host is forwarded twice.`,
      remedy: 'Forward each port of the host once.',
      field: `${field}.hostPort`,
    });
  }
  taken.add(port);
}

class Conflict extends ApiError {
  constructor(detail: string, remedy: string, field: string) {
    super('spec.network_conflict', { detail, remedy, field });
  }
}
