// SPDX-License-Identifier: Apache-2.0
import type { EnsureBridgeCommand, EnsureNetworkCommand, HostLease, LaunchInterface } from '../../host-agent/host-agent.js';
import type { Keep } from '../touched.js';

/** Port to a kind of network on this host. All calls are idempotent. */
export abstract class NetworkDriver {
  /** Subnets the host already routes. */
  abstract usedSubnets(): Promise<string[]>;
  abstract ensureNetwork(command: EnsureNetworkCommand | EnsureBridgeCommand): Promise<void>;
  abstract removeNetwork(id: string): Promise<void>;
  /** Makes the link of an interface and answers its name. */
  abstract attach(machineId: string, link: LaunchInterface): Promise<string>;
  /** Removes all links of a machine. */
  abstract detach(machineId: string): Promise<void>;
  /** Addresses that guests have taken. */
  abstract leases(): Promise<HostLease[]>;
  /** Calls back when those may have changed; answers how to stop that. */
  abstract onLeases(changed: () => void): () => void;
  /** Removes links and networks that no resource owns; answers what it removed. */
  abstract collect(owned: { machines: Keep; networks: Keep }): Promise<string[]>;
  /** Lets go; networks stay. */
  abstract close(): Promise<void>;
}
