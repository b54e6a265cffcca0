// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '../../../common/api-error.js';
import { shortId } from '../../../common/ids.js';
import type { LaunchMacvtap } from '../../../host-agent/host-agent.js';
import type { Keep } from '../../touched.js';
import { note, noted } from '../notes.js';

/** Name of the link of an interface: at most 15 bytes, the same after every restart. */
export function macvtapName(machineId: string, interfaceName: string): string {
  return `flom-${shortId(`${machineId}/${interfaceName}`)}`;
}

/** Interfaces on links of the host. Each is noted before it is made, so that whatever ends this process, the next one finds it. */
export abstract class MacvtapLinks {
  constructor(
    private readonly directory: string,
    private readonly parents: readonly string[],
  ) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Makes the link of an interface, or finds it as it shall be. */
  async attach(machineId: string, link: LaunchMacvtap, field: string): Promise<void> {
    this.requireParent(link.macvtap.parent, field);
    const name = macvtapName(machineId, link.name);
    await note(join(this.directory, name), machineId);
    await this.make(name, link, machineId);
  }

  /** Removes all links of a machine. */
  async detach(machineId: string): Promise<void> {
    for (const name of await noted(this.directory)) if ((await this.ownerOf(name)) === machineId) await this.remove(name);
  }

  /** Removes links of machines that nobody owns; answers what it removed. */
  async collect(machines: Keep): Promise<string[]> {
    const removed: string[] = [];
    for (const name of await noted(this.directory)) {
      if (machines.has((await this.ownerOf(name)) ?? '')) continue;
      await this.remove(name);
      removed.push(`macvtap ${name}`);
    }
    return removed;
  }

  protected abstract make(name: string, link: LaunchMacvtap, machineId: string): Promise<void>;
  /** Nothing when it is not there. */
  protected abstract drop(name: string): Promise<void>;

  private async remove(name: string): Promise<void> {
    await this.drop(name);
    await rm(join(this.directory, name), { force: true });
  }

  private ownerOf(name: string): Promise<string | undefined> {
    return readFile(join(this.directory, name), 'utf8').catch(() => undefined);
  }

  /** Whoever runs the host says on which of its links guests may be; a client of the API cannot. */
  private requireParent(parent: string, field: string): void {
    if (this.parents.includes(parent)) return;
    const named = this.parents.length === 0 ? 'none' : this.parents.join(', ');
    throw new ApiError('macvtap.parent_refused', {
      detail: `No guest may be on the link "${parent}" of the host; those named for it: ${named}.`,
      remedy: 'Name the link when the host agent starts (`flotilla up --macvtap-parent`), or put the interface on a network.',
      field,
    });
  }
}
