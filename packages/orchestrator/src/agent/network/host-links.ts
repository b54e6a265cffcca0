// SPDX-License-Identifier: Apache-2.0
// What the interfaces of a machine are on, on this host.
import { userNetworkOf } from '../../common/user-network.js';
import type { LaunchCommand, LaunchLink } from '../../host-agent/host-agent.js';
import type { HypervisorSpec } from '../hypervisor/hypervisor.js';
import { type MacvtapLinks, macvtapName } from './macvtap/macvtap-links.js';
import type { NetworkDriver } from './network-driver.js';
import { tapName } from './tap-name.js';

/** Makes the links of a machine, or finds them as they shall be. */
export async function attachLinks(
  { id, interfaces }: LaunchCommand,
  { network, macvtaps }: { network: NetworkDriver; macvtaps: MacvtapLinks },
): Promise<void> {
  for (const [index, link] of interfaces.entries()) {
    if ('macvtap' in link) await macvtaps.attach(id, link, `interfaces[${index}].macvtap.parent`);
    else if (!('user' in link)) await network.attach(id, link);
  }
}

/** What an interface is on, by the names of this host. */
export function networkOf(machineId: string, link: LaunchLink): Pick<HypervisorSpec['interfaces'][number], 'tap' | 'user'> {
  if ('user' in link) return { user: userNetworkOf(link.user) };
  return { tap: 'macvtap' in link ? macvtapName(machineId, link.name) : tapName(machineId, link.name) };
}
