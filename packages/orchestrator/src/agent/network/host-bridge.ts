// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';

/** Whoever runs the host says on which of its links guests may be; a client of the API cannot. */
export function requireNamed(bridge: string, named: readonly string[]): void {
  if (named.includes(bridge)) return;
  throw new ApiError('network.bridge_refused', {
    detail: `No guest may be on the bridge "${bridge}" of the host; links named for guests: ${named.length === 0 ? 'none' : named.join(', ')}.`,
    remedy: 'Name the bridge when the host agent starts (`flotilla up --macvtap-parent`), or use a network of another kind.',
    field: 'bridge',
  });
}

export function bridgeMissing(bridge: string): ApiError {
  return new ApiError('network.bridge_missing', {
    detail: `The host has no bridge "${bridge}".`,
    remedy: `Make it (\`ip link add name ${bridge} type bridge\`) and bring it up, then start the machine again.`,
  });
}
