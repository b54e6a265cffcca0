// SPDX-License-Identifier: Apache-2.0
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EnsureNetworkCommand, LaunchInterface } from '../../../host-agent/host-agent.js';
import { NetworkDriver } from '../network-driver.js';
import { tapName } from '../tap-name.js';
import type { Keep } from '../../touched.js';

/** Networks as files: what would be on the host survives a crash of the process and can be counted by tests. */
export class FakeNetwork extends NetworkDriver {
  private readonly taps: string;
  private readonly networks: string;

  constructor(directory: string) {
    super();
    this.taps = join(directory, 'taps');
    this.networks = join(directory, 'networks');
  }

  override usedSubnets(): Promise<string[]> {
    return Promise.resolve(['192.168.0.0/16']);
  }

  override async ensureNetwork(command: EnsureNetworkCommand): Promise<void> {
    await mkdir(this.networks, { recursive: true });
    await writeFile(join(this.networks, command.id), JSON.stringify(command));
  }

  override async removeNetwork(id: string): Promise<void> {
    await rm(join(this.networks, id), { force: true });
  }

  override async attach(machineId: string, link: LaunchInterface): Promise<string> {
    await mkdir(this.taps, { recursive: true });
    const name = tapName(machineId, link.name);
    await writeFile(join(this.taps, name), machineId);
    return name;
  }

  override async detach(machineId: string): Promise<void> {
    for (const name of await entries(this.taps)) {
      if (await owner(join(this.taps, name)) === machineId) await rm(join(this.taps, name), { force: true });
    }
  }

  override async collect(owned: { machines: Keep; networks: Keep }): Promise<string[]> {
    const removed: string[] = [];
    for (const name of await entries(this.taps)) {
      const machine = await owner(join(this.taps, name));
      if (machine === undefined || owned.machines.has(machine)) continue;
      await rm(join(this.taps, name), { force: true });
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
    return Promise.resolve();
  }
}

async function entries(directory: string): Promise<string[]> {
  return readdir(directory).catch(() => []);
}

async function owner(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(() => undefined);
}
