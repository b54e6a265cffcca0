// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { mkdir, open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KeyedQueue } from '../../../common/async.js';
import { makeWhole } from '../../files/durable.js';
import {
  type LogicalVolume,
  LogicalVolumes,
  LvmRefused,
  type Tagged,
  type VolumeGroup,
  type WantedVolume,
} from '../lvm/logical-volumes.js';

/** The description of a group, and the file that is there for each volume. A file of a thick volume has in it what others left. */
export const GROUP_FILE = 'group.json';
const LEFT_BY_OTHERS = 0xa5;

/** Logical volumes that are files, in directories that are groups. A group without a directory is not there. */
export class FakeVolumes extends LogicalVolumes {
  private readonly turns = new KeyedQueue();

  constructor(private readonly groups: string) {
    super();
    mkdirSync(groups, { recursive: true, mode: 0o700 });
  }

  override look(group: string): Promise<VolumeGroup> {
    return this.turns.run(group, () => this.read(group));
  }

  override create({ group, name, sizeBytes, tags, thinPool }: WantedVolume): Promise<void> {
    return this.change(group, async (found) => {
      if (find(found, name) !== undefined)
        throw new LvmRefused('refused', `Logical Volume "${name}" already exists in volume group "${group}"`);
      if (thinPool === undefined && sizeBytes > found.freeBytes)
        throw new LvmRefused('full', `Volume group "${group}" has insufficient free space`);
      const kind = thinPool === undefined ? { role: 'other' as const } : { role: 'thin' as const, pool: thinPool, dataPercent: 0 };
      await this.lengthen(group, name, sizeBytes, thinPool === undefined);
      return resized(found, { name, sizeBytes, tags, active: true, zeroes: false, health: 'well', ...kind });
    });
  }

  override tag(
    { group, volume }: Tagged,
    { add = [], remove = [] }: { add?: readonly string[]; remove?: readonly string[] },
  ): Promise<void> {
    const changed = (tags: readonly string[]) => [...new Set([...tags.filter((tag) => !remove.includes(tag)), ...add])].sort();
    return this.change(group, (found) => {
      if (volume === undefined) return Promise.resolve({ ...found, tags: changed(found.tags) });
      const one = required(found, volume);
      return Promise.resolve(resized(found, { ...one, tags: changed(one.tags) }));
    });
  }

  override activate(group: string, names: readonly string[]): Promise<void> {
    return this.switch(group, names, true);
  }

  override deactivate(group: string, names: readonly string[]): Promise<void> {
    return this.switch(group, names, false);
  }

  override extend(group: string, name: string, sizeBytes: number): Promise<void> {
    return this.change(group, async (found) => {
      const one = required(found, name);
      await this.lengthen(group, name, sizeBytes, one.role === 'other');
      return resized(found, { ...one, sizeBytes });
    });
  }

  override remove(group: string, name: string): Promise<void> {
    return this.change(group, async (found) => {
      const one = required(found, name);
      await rm(this.device(group, name), { force: true });
      const freeBytes = found.freeBytes + (one.role === 'other' ? one.sizeBytes : 0);
      return { ...found, freeBytes, volumes: found.volumes.filter((other) => other !== one) };
    });
  }

  override device(group: string, name: string): string {
    return join(this.groups, group, name);
  }

  private switch(group: string, names: readonly string[], active: boolean): Promise<void> {
    return this.change(group, (found) =>
      Promise.resolve(names.reduce((all, name) => resized(all, { ...required(all, name), active }), found)),
    );
  }

  private change(group: string, make: (found: VolumeGroup) => Promise<VolumeGroup>): Promise<void> {
    return this.turns.run(group, async () => {
      const changed = await make(await this.read(group));
      await makeWhole(join(this.groups, group, GROUP_FILE), (temporary) => writeFile(temporary, JSON.stringify(changed)));
    });
  }

  private async read(group: string): Promise<VolumeGroup> {
    const text = await readFile(join(this.groups, group, GROUP_FILE), 'utf8').catch(() => undefined);
    if (text === undefined) throw new LvmRefused('no-group', `Volume group "${group}" not found`);
    return JSON.parse(text) as VolumeGroup;
  }

  private async lengthen(group: string, name: string, sizeBytes: number, used: boolean): Promise<void> {
    await mkdir(join(this.groups, group), { recursive: true });
    const file = await open(this.device(group, name), 'a+', 0o600);
    try {
      const { size } = await file.stat();
      if (used) await file.write(Buffer.alloc(Math.max(0, sizeBytes - size), LEFT_BY_OTHERS));
      else await file.truncate(sizeBytes);
    } finally {
      await file.close();
    }
  }
}

function find({ volumes }: VolumeGroup, name: string): LogicalVolume | undefined {
  return volumes.find((one) => one.name === name);
}

function required(group: VolumeGroup, name: string): LogicalVolume {
  const found = find(group, name);
  if (found === undefined) throw new LvmRefused('refused', `Failed to find logical volume "${group.name}/${name}"`);
  return found;
}

/** A group with a volume as it is now, new or not, and what is free after it. */
function resized(group: VolumeGroup, volume: LogicalVolume): VolumeGroup {
  const before = volume.role === 'other' ? (find(group, volume.name)?.sizeBytes ?? 0) - volume.sizeBytes : 0;
  return {
    ...group,
    freeBytes: group.freeBytes + before,
    volumes: [...group.volumes.filter(({ name }) => name !== volume.name), volume].sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}
