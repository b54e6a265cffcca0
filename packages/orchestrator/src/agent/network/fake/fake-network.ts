// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { EnsureBridgeCommand, EnsureNetworkCommand, HostLease, LaunchInterface } from '../../../host-agent/host-agent.js';
import { requireNamed } from '../host-bridge.js';
import { NetworkDriver } from '../network-driver.js';
import { note, noteChange, noted } from '../notes.js';
import { leasesOf } from '../leases/host-leases.js';
import { readLeases } from '../leases/lease-file.js';
import { LeaseWatcher } from '../leases/lease-watcher.js';
import { formatTapNote, readTapNote } from '../leases/tap-note.js';
import { TapOwners } from '../leases/tap-owners.js';
import { tapName } from '../tap-name.js';
import type { Keep } from '../../touched.js';

/**
 * Networks as files: what would be on the host survives a crash of the process and can be counted by tests. Fake guests ask for
 * no address; tests write the file `leases` as the DHCP server would.
 */
export class FakeNetwork extends NetworkDriver {
  private readonly taps: string;
  private readonly networks: string;
  private readonly leaseFile: string;
  private readonly owners = new TapOwners();
  private readonly watcher = new LeaseWatcher();

  constructor(
    directory: string,
    private readonly hostBridges: readonly string[],
  ) {
    super();
    this.taps = join(directory, 'taps');
    this.networks = join(directory, 'networks');
    this.leaseFile = join(directory, 'leases');
    mkdirSync(directory, { recursive: true });
  }

  override usedSubnets(): Promise<string[]> {
    return Promise.resolve(['192.168.0.0/16']);
  }

  override async ensureNetwork(command: EnsureNetworkCommand | EnsureBridgeCommand): Promise<void> {
    if (command.kind === 'bridge') requireNamed(command.hostBridge, this.hostBridges);
    await mkdir(this.networks, { recursive: true });
    await noteChange(join(this.networks, command.id), JSON.stringify(command));
  }

  override async removeNetwork(id: string): Promise<void> {
    await rm(join(this.networks, id), { force: true });
  }

  override async attach(machineId: string, link: LaunchInterface): Promise<string> {
    await mkdir(this.taps, { recursive: true });
    const name = tapName(machineId, link.name);
    await note(join(this.taps, name), formatTapNote({ machine: machineId, mac: link.mac, network: link.networkId }));
    return name;
  }

  override async detach(machineId: string): Promise<void> {
    for (const name of await entries(this.taps)) {
      if ((await this.owners.of(join(this.taps, name))) === machineId) await this.removeTap(name);
    }
    this.watcher.soon();
  }

  override async leases(): Promise<HostLease[]> {
    const taps = (await Promise.all((await entries(this.taps)).map((name) => readTapNote(join(this.taps, name))))).filter(
      (tap) => tap !== undefined,
    );
    const taken = await readLeases(this.leaseFile);
    return (await entries(this.networks)).flatMap((id) => leasesOf(id, taken, taps));
  }

  override onLeases(changed: () => void): () => void {
    this.watcher.add('all', this.leaseFile);
    return this.watcher.listen(changed);
  }

  override async collect(owned: { machines: Keep; networks: Keep }): Promise<string[]> {
    const removed: string[] = [];
    for (const name of await entries(this.taps)) {
      const machine = await this.owners.of(join(this.taps, name));
      if (machine === undefined || owned.machines.has(machine)) continue;
      await this.removeTap(name);
      removed.push(`tap ${name}`);
    }
    for (const id of await entries(this.networks)) {
      if (owned.networks.has(id)) continue;
      await this.removeNetwork(id);
      removed.push(`network ${id}`);
    }
    return removed;
  }

  override close(): Promise<void> {
    this.watcher.close();
    return Promise.resolve();
  }

  private async removeTap(name: string): Promise<void> {
    await rm(join(this.taps, name), { force: true });
    this.owners.forget(name);
  }
}

async function entries(directory: string): Promise<string[]> {
  return noted(directory).catch(() => []);
}
