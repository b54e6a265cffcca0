// SPDX-License-Identifier: Apache-2.0
import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { ApiError } from '../../../common/api-error.js';
import { KeyedQueue } from '../../../common/async.js';
import { DRIVERS, type PoolCapability, type PoolRefOf } from '../../../common/pool.js';
import type { VolumeStorage } from '../../../common/volume-storage.js';
import type { CommandControl, PoolUsage, VolumeFacts } from '../../../host-agent/host-agent.js';
import type { DiskFiles } from '../../hypervisor/hypervisor.js';
import type { Keep } from '../../touched.js';
import { KEPT_MILLISECONDS } from '../dir/set-aside.js';
import { lostImage, lostVolume, occupied } from '../dir/volume-files.js';
import { type GrownVolume, type NewVolume, type PoolCollection, StoragePool } from '../storage-pool.js';
import { DeviceFiller } from './device-filler.js';
import { type Layout, thickLayout, thinLayout } from './layout.js';
import { type LogicalVolume, type LogicalVolumes, LvmRefused, type VolumeGroup } from './logical-volumes.js';
import { LvmRoom } from './lvm-room.js';
import { asideSince, asideTag, growsFrom, growthTag, HALF_MADE, isWhole, OURS, ownerOf, poolTag } from './tags.js';

/** A collection waits so long for each volume. Wiping one can take hours, and neither other pools nor the end of this process wait for it. */
const COLLECT_MILLISECONDS = 5_000;

/** What pools of logical volumes need of the host. */
export interface LvmHost {
  volumes: LogicalVolumes;
  /** Whether the core fills devices, or Node. */
  native: boolean;
  /** Whether pools are bound to directories of the host. */
  rooted: boolean;
}

/**
 * Storage pool of the kinds `lvm-thin` and `lvm`: each volume is a logical volume named by its id, and a disk is its block device.
 * What is ours is known by tags alone, which LVM keeps with what they are on: the thin pool or the group that is the pool, and
 * each volume. A volume has one more until it is whole, and from the moment it goes:
 *
 *     lvcreate --addtag half-made ─▶ filled ─▶ lvchange --deltag half-made ─▶ (used)
 *                                              lvchange --addtag half-made ─▶ wiped ─▶ lvremove
 *
 * The host never makes or removes the group and the thin pool.
 */
export class LvmPool extends StoragePool {
  override readonly kind: 'lvm-thin' | 'lvm';
  override guardPercent: number;
  private readonly id: string;
  private readonly tag: string;
  private readonly layout: Layout;
  private readonly volumes: LogicalVolumes;
  private readonly filler: DeviceFiller;
  private readonly room: LvmRoom;
  /** Opening and closing, one after the other, and so are the changes of each volume, the collector's too. */
  private readonly turns = new KeyedQueue();
  private opening: Promise<void> | undefined;
  /** Volumes that are being made or changed now; the collector leaves them alone. */
  private readonly changing = new Set<string>();
  /** What was collected and not told of yet: by the next collection what this one has not waited for. */
  private collected = nothing();

  constructor(
    ref: PoolRefOf<'lvm-thin'> | PoolRefOf<'lvm'>,
    private readonly host: LvmHost,
    private readonly collectMilliseconds = COLLECT_MILLISECONDS,
  ) {
    super();
    this.kind = ref.kind;
    this.id = ref.id;
    this.tag = poolTag(ref.id);
    this.guardPercent = ref.guardPercent;
    this.layout = ref.kind === 'lvm' ? thickLayout(ref) : thinLayout(ref);
    this.volumes = host.volumes;
    this.room = new LvmRoom(this.layout, () => this.guardPercent);
    const { errors } = this.layout;
    this.filler = new DeviceFiller({ ...errors.setup, native: host.native }, (why) => errors.away(why));
  }

  override make(): Promise<void> {
    const { layout } = this;
    const { errors } = layout;
    return this.inTurn(async () => {
      if (this.host.rooted) throw errors.rooted();
      const group = await this.volumes.look(layout.group).catch((error: unknown) => {
        throw errors.atDefinition(error);
      });
      layout.requireValid(group);
      const owner = ownerOf(layout.tagsIn(group) ?? []);
      if (owner === this.id) return;
      if (owner !== undefined) throw errors.taken(owner);
      await this.volumes.tag(layout.place, { add: [OURS, this.tag] });
    });
  }

  /** Looked at once for all who ask at a time. */
  override open(): Promise<void> {
    this.opening ??= this.inTurn(async () => {
      const group = await this.look();
      this.layout.requireValid(group);
      this.layout.requireWell(group);
      const own = this.ownIn(group).filter((volume) => isWhole(volume) && asideSince(volume) === undefined);
      const inactive = [...this.layout.asleepIn(group), ...own.filter(({ active }) => !active).map(({ name }) => name)];
      if (inactive.length > 0) await this.volumes.activate(this.layout.group, inactive);
      for (const { name } of own.filter((volume) => growsFrom(volume) !== undefined)) await this.finishGrowth(name);
    }).finally(() => {
      this.opening = undefined;
    });
    return this.opening;
  }

  /** What has its devices open keeps it, by force too: nothing is gained by a device that goes under a guest. */
  override close(force: boolean): Promise<void> {
    return this.inTurn(async () => {
      const group = await this.volumes.look(this.layout.group).catch((error: unknown) => {
        if (force) return undefined;
        throw error;
      });
      if (group === undefined) return;
      const active = this.ownIn(group).filter(({ active }) => active);
      if (active.length === 0) return;
      await this.volumes.deactivate(
        this.layout.group,
        active.map(({ name }) => name),
      );
    });
  }

  override remove(force: boolean): Promise<void> {
    const { layout } = this;
    return this.inTurn(async () => {
      const group = await this.volumes.look(layout.group).catch((error: unknown) => {
        if (force || (error instanceof LvmRefused && error.why === 'no-group')) return undefined;
        throw error;
      });
      if (group === undefined || ownerOf(layout.tagsIn(group) ?? []) !== this.id) return;
      for (const volume of this.ownIn(group)) {
        if (isWhole(volume)) throw layout.errors.notEmpty(volume.name, asideSince(volume) !== undefined);
        await this.drop(volume);
      }
      await this.volumes.tag(layout.place, { remove: [this.tag, OURS] });
    });
  }

  override capabilities(): Promise<PoolCapability[]> {
    return Promise.resolve([...DRIVERS[this.kind]]);
  }

  override usage(): Promise<PoolUsage> {
    return this.saying(async () => {
      const group = await this.look();
      const { capacityBytes, freeBytes: _free, ...percents } = this.layout.space(group);
      const allocatedBytes = this.ownIn(group).reduce((sum, volume) => sum + this.layout.takenBy(volume), 0);
      return { capacityBytes, allocatedBytes, availableBytes: this.room.availableIn(group), ...percents };
    });
  }

  override ensureVolume(volume: NewVolume, control: CommandControl): Promise<VolumeFacts> {
    const { id, clone, imagePath } = volume;
    if (clone === 'linked' || clone === 'shared') throw this.unsupported(`${clone} clones`);
    if (volume.format === 'qcow2') throw this.unsupported('volumes of the format qcow2');
    if (volume.preallocate === 'full' && !this.layout.used) throw this.unsupported('preallocation');
    const { used } = this.layout;
    return this.during(id, async () => {
      const found = this.findIn(await this.look(), id);
      if (found !== undefined && isWhole(found)) return { sizeBytes: found.sizeBytes };
      if (found !== undefined) await this.drop(found);
      const group = await this.look(); // what was half made has given its space back
      if (volume.from !== undefined) return this.makeCopy(group, volume, volume.from, control);
      const image = imagePath === undefined ? undefined : { path: imagePath, ...(await this.imageFacts(volume.imageId ?? '', imagePath)) };
      const sizeBytes = this.wholeExtents(group, Math.max(volume.sizeBytes ?? 0, image?.sizeBytes ?? 0));
      this.room.require(group, this.layout.needs(sizeBytes, image?.contentBytes ?? 0));
      await this.makeVolume(id, sizeBytes, async (device) => {
        if (used || image !== undefined)
          await this.filler.fill({ device, used, ...(image === undefined ? {} : { image: image.path }) }, control);
      });
      return { sizeBytes };
    });
  }

  /** The new extents of a thick volume are wiped before anybody is told of them; until that is done, a tag says so. */
  override growVolume({ id, sizeBytes: wanted }: GrownVolume): Promise<VolumeFacts> {
    const { group: name, used } = this.layout;
    return this.during(id, async () => {
      const group = await this.look();
      const volume = this.findIn(group, id);
      if (volume === undefined || !isWhole(volume)) throw lostVolume(id);
      await this.wipeGrown(volume);
      if (volume.sizeBytes >= wanted) return { sizeBytes: volume.sizeBytes };
      const sizeBytes = this.wholeExtents(group, wanted);
      this.room.require(group, this.layout.needs(sizeBytes - volume.sizeBytes, 0));
      if (used) await this.volumes.tag({ group: name, volume: id }, { add: [growthTag(volume.sizeBytes)] });
      await this.volumes.extend(name, id, sizeBytes);
      if (used) await this.wipeFrom(id, volume.sizeBytes);
      return { sizeBytes };
    });
  }

  override removeVolume(id: string): Promise<void> {
    return this.during(id, async () => {
      const volume = this.ownIn(await this.look()).find(({ name }) => name === id);
      if (volume !== undefined) await this.drop(volume);
    });
  }

  override diskFiles(id: string, _storage: VolumeStorage): DiskFiles {
    try {
      return { path: this.volumes.device(this.layout.group, id), format: 'raw', backing: [] };
    } catch (error) {
      throw this.layout.errors.from(error);
    }
  }

  override collect(owned: { volumes: Keep }): Promise<PoolCollection> {
    return this.saying(async () => {
      for (const { name } of this.ownIn(await this.look())) {
        if (this.changing.has(name)) continue;
        const late = delay(this.collectMilliseconds, undefined, { ref: false });
        await Promise.race([this.collectOne(name, owned.volumes), late]);
      }
      const done = this.collected;
      this.collected = nothing();
      return done;
    });
  }

  /** Never rejects: one that stays must not keep the others. */
  private async collectOne(name: string, kept: Keep): Promise<void> {
    const path = `${this.layout.group}/${name}`;
    try {
      const what = await this.during(name, () => this.collectVolume(name, kept));
      if (what !== undefined) this.collected[what].push(path);
    } catch (error) {
      this.collected.failed.push(`${path}: ${String(error)}`);
    }
  }

  /** Looks anew: wiping the volumes before it can take hours, in which one that was half made has become whole. */
  private async collectVolume(name: string, kept: Keep): Promise<'removed' | 'setAside' | undefined> {
    const volume = this.ownIn(await this.look()).find((one) => one.name === name);
    if (volume === undefined) return undefined;
    const owned = kept.has(name);
    const of = { group: this.layout.group, volume: name };
    const since = asideSince(volume);
    const now = Date.now();
    if (owned && isWhole(volume)) {
      // It was set aside while another database was in place.
      if (since !== undefined) await this.volumes.tag(of, { remove: [asideTag(since)] });
      return undefined;
    }
    if (!isWhole(volume) || (since !== undefined && now - since >= KEPT_MILLISECONDS)) {
      await this.drop(volume);
      return 'removed';
    }
    if (since !== undefined) return undefined;
    await this.volumes.tag(of, { add: [asideTag(now)] });
    return 'setAside';
  }

  /** What of a thin one will hold data is not known before: a pool that becomes full ends the copy. */
  private async makeCopy(
    group: VolumeGroup,
    { id, sizeBytes = 0 }: NewVolume,
    from: DiskFiles,
    control: CommandControl,
  ): Promise<VolumeFacts> {
    const whole = this.wholeExtents(group, sizeBytes);
    this.room.require(group, this.layout.needs(whole, 0));
    await this.makeVolume(id, whole, (device) => this.filler.copy({ from, to: { device }, full: this.layout.used }, control));
    return { sizeBytes: whole };
  }

  private async makeVolume(id: string, sizeBytes: number, fill: (device: string) => Promise<void>): Promise<void> {
    const { group, thinPool } = this.layout;
    const of = { group, volume: id };
    await this.volumes.create({
      group,
      name: id,
      sizeBytes,
      tags: [OURS, this.tag, HALF_MADE],
      ...(thinPool === undefined ? {} : { thinPool }),
    });
    try {
      await fill(this.volumes.device(group, id));
      await this.volumes.tag(of, { remove: [HALF_MADE] });
    } catch (error) {
      // Nobody has read what is in it. What stays is known to be half made.
      await this.volumes.remove(group, id).catch(() => undefined);
      throw error;
    }
  }

  /** Removes a volume of ours. What was in a thick one is wiped first: its extents go to whoever makes a volume next. */
  private async drop({ name, active, tags, hasSnapshots }: LogicalVolume): Promise<void> {
    const { group, used, errors } = this.layout;
    if (hasSnapshots) throw errors.hasSnapshots(name);
    if (used) {
      if (!tags.includes(HALF_MADE)) await this.volumes.tag({ group, volume: name }, { add: [HALF_MADE] });
      if (!active) await this.volumes.activate(group, [name]);
      await this.filler.fill({ device: this.volumes.device(group, name), used }, {});
    }
    await this.volumes.remove(group, name);
  }

  /** Of a growth that was interrupted. One that has come to its end meanwhile has the data of a guest there, so it is looked at anew. */
  private async finishGrowth(id: string): Promise<void> {
    if (this.changing.has(id)) return;
    await this.during(id, async () => {
      const volume = this.findIn(await this.look(), id);
      if (volume !== undefined) await this.wipeGrown(volume);
    });
  }

  private async wipeGrown(volume: LogicalVolume): Promise<void> {
    const from = growsFrom(volume);
    if (from !== undefined) await this.wipeFrom(volume.name, from);
  }

  private async wipeFrom(id: string, fromBytes: number): Promise<void> {
    const { group } = this.layout;
    await this.filler.fill({ device: this.volumes.device(group, id), used: true, fromBytes }, {});
    await this.volumes.tag({ group, volume: id }, { remove: [growthTag(fromBytes)] });
  }

  /** The group, in which the place bears our mark. */
  private async look(): Promise<VolumeGroup> {
    const { layout } = this;
    const group = await this.volumes.look(layout.group);
    const tags = layout.tagsIn(group);
    if (tags === undefined) throw layout.errors.away(`The volume group ${layout.group} has no thin pool ${layout.thinPool}.`);
    const owner = ownerOf(tags);
    if (owner === this.id) return group;
    throw layout.errors.away(
      owner === undefined
        ? `It lacks the tag ${this.tag} of this storage pool.`
        : `It belongs to the storage pool ${owner} and not to this one.`,
      'Bring back the one that is meant, then refresh the pool.',
    );
  }

  private ownIn({ volumes }: VolumeGroup): LogicalVolume[] {
    const { volume: place } = this.layout.place;
    return volumes.filter(({ name, tags }) => name !== place && tags.includes(this.tag));
  }

  /** The volume of that name, which is ours. */
  private findIn({ volumes }: VolumeGroup, id: string): LogicalVolume | undefined {
    const found = volumes.find(({ name }) => name === id);
    if (found !== undefined && !found.tags.includes(this.tag)) throw this.layout.errors.foreign(id);
    return found;
  }

  private wholeExtents({ extentBytes }: VolumeGroup, sizeBytes: number): number {
    return Math.max(1, Math.ceil(sizeBytes / extentBytes)) * extentBytes;
  }

  private async imageFacts(imageId: string, path: string): Promise<{ sizeBytes: number; contentBytes: number }> {
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined) return { sizeBytes: found.size, contentBytes: await occupied(path) };
    throw lostImage(imageId);
  }

  private unsupported(what: string): ApiError {
    return new ApiError('pool.unsupported', {
      detail: `${this.layout.errors.known} is of the kind ${this.kind}, which has no ${what}.`,
      remedy: 'Ask for a full clone that is raw and sparse, or use a pool of another kind.',
    });
  }

  private during<T>(id: string, change: () => Promise<T>): Promise<T> {
    return this.turns.run(id, async () => {
      this.changing.add(id);
      try {
        return await this.saying(change);
      } finally {
        this.changing.delete(id);
      }
    });
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.turns.run('', () => this.saying(work));
  }

  private async saying<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw error instanceof LvmRefused ? this.layout.errors.from(error) : error;
    }
  }
}

function nothing(): PoolCollection {
  return { removed: [], setAside: [], failed: [] };
}
