// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { ApiError } from '../../../common/api-error.js';
import { systemCode } from '../../../common/system-code.js';
import type { CommandResult, CommandRunner } from '../../runner/command-runner.js';
import { mappedAt, mapperName } from './device-names.js';
import { LogicalVolumes, LvmRefused, type Tagged, type VolumeGroup, type WantedVolume } from './logical-volumes.js';
import { GROUP_FIELDS, parseGroup, parseVolumes, REPORT, VOLUME_FIELDS } from './lvm-report.js';

const LOOK_MILLISECONDS = 10_000;
/** Of a change, which waits for whoever changes the group now, and for what volumes that are deactivated have under way. */
const CHANGE_MILLISECONDS = 60_000;
/** So long a look is good for what follows it, as a change follows the opening of a pool. */
const KEPT_MILLISECONDS = 300;
/** Every status is looked at here. */
const ANY_STATUS = Array.from({ length: 255 }, (_, index) => index + 1);
const REASONS: readonly [RegExp, LvmRefused['why']][] = [
  [/^Volume group "[^"]*" not found|^Cannot process volume group/, 'no-group'],
  [/insufficient (free space|suitable|allocatable)|above threshold|out of (data|metadata) space|free space in pool/i, 'full'],
  [/\bin use\b|is used by|resource busy/i, 'busy'],
];
/** There while udev makes the names of devices. */
const UDEV = '/run/udev/control';

/** Logical volumes of this host, made by the programs of LVM. */
export class HostVolumes extends LogicalVolumes {
  /** Groups with programs that were to end long ago: what was begun beside them would wait as well, one more each time. */
  private readonly stuck = new Map<string, Map<Promise<void>, string>>();
  /** What was seen of a group and not changed by us since: one look is for all that ask at a time, and for what follows it at once. */
  private readonly looks = new Map<string, { answer: Promise<VolumeGroup>; until: number }>();

  constructor(
    private readonly runner: CommandRunner,
    private readonly limits = { look: LOOK_MILLISECONDS, change: CHANGE_MILLISECONDS },
    private readonly at: (path: string) => string | undefined = mappedAt,
  ) {
    super();
  }

  override look(group: string): Promise<VolumeGroup> {
    const kept = this.looks.get(group);
    if (kept !== undefined && kept.until > performance.now()) return kept.answer;
    const look = { answer: this.lookNow(group), until: Number.POSITIVE_INFINITY };
    this.looks.set(group, look);
    const end = (milliseconds: number) => () => {
      look.until = performance.now() + milliseconds;
    };
    look.answer.then(end(KEPT_MILLISECONDS), end(0));
    return look.answer;
  }

  override async create({ group, name, sizeBytes, tags, thinPool }: WantedVolume): Promise<void> {
    // What is in a thick volume is not looked at or overwritten by lvcreate: that is done by us, and wholly.
    const kind = thinPool === undefined ? ['-Zn', '-L', `${sizeBytes}b`] : ['--thinpool', thinPool, '-V', `${sizeBytes}b`];
    await this.change('lvcreate', group, ['-y', '-Wn', ...kind, ...tags.flatMap((tag) => ['--addtag', tag]), '-n', name, group]);
  }

  override async tag({ group, volume }: Tagged, { add = [], remove = [] }: { add?: readonly string[]; remove?: readonly string[] }) {
    const options = [...add.flatMap((tag) => ['--addtag', tag]), ...remove.flatMap((tag) => ['--deltag', tag])];
    await this.change(volume === undefined ? 'vgchange' : 'lvchange', group, [
      ...options,
      volume === undefined ? group : `${group}/${volume}`,
    ]);
  }

  override async activate(group: string, names: readonly string[]): Promise<void> {
    await this.change('lvchange', group, ['-ay', ...names.map((name) => `${group}/${name}`)]);
  }

  override async deactivate(group: string, names: readonly string[]): Promise<void> {
    await this.change('lvchange', group, ['-an', ...names.map((name) => `${group}/${name}`)]);
  }

  override async extend(group: string, name: string, sizeBytes: number): Promise<void> {
    await this.change('lvextend', group, ['-L', `${sizeBytes}b`, `${group}/${name}`]);
  }

  override async remove(group: string, name: string): Promise<void> {
    await this.change('lvremove', group, ['-f', '-y', `${group}/${name}`]);
  }

  override device(group: string, name: string): string {
    const path = `/dev/${group}/${name}`;
    const found = this.at(path);
    // Whoever opens what is not there says so.
    if (found === undefined || found === mapperName(group, name)) return path;
    throw new LvmRefused('misled', `${path} leads to another device than that volume: ${found}`);
  }

  private async lookNow(group: string): Promise<VolumeGroup> {
    const { found, volumes } = await this.report('lvs', VOLUME_FIELDS, group, (text) => ({
      found: parseGroup(text, group),
      volumes: parseVolumes(text),
    }));
    // A group without volumes has no row there.
    const itself = found ?? (await this.report('vgs', GROUP_FIELDS, group, (text) => parseGroup(text, group)));
    if (itself === undefined) throw new LvmRefused('no-group', `vgs does not list the volume group ${group}`);
    return { ...itself, volumes };
  }

  private async report<T>(program: string, fields: string, group: string, parse: (text: string) => T): Promise<T> {
    const { status, stdout, stderr } = await this.run(program, [...REPORT, '-o', fields, group], group, this.limits.look);
    if (status !== 0) throw refusal(program, status, stderr);
    try {
      return parse(stdout);
    } catch (error) {
      throw new LvmRefused(
        'refused',
        `${program} answers what is not understood: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  private async change(program: string, group: string, args: readonly string[]): Promise<void> {
    this.looks.delete(group);
    try {
      const { status, stderr } = await this.run(program, args, group, this.limits.change);
      if (status !== 0) throw refusal(program, status, stderr);
    } finally {
      this.looks.delete(group);
    }
  }

  private async run(program: string, args: readonly string[], group: string, timeoutMilliseconds: number): Promise<CommandResult> {
    const [stuck] = this.stuck.get(group)?.values() ?? [];
    if (stuck !== undefined) throw new LvmRefused('no-answer', `${stuck} was started before and has not ended yet`);
    let late = false;
    try {
      return await this.runner.run(program, args, {
        timeoutMilliseconds,
        accept: ANY_STATUS,
        // By SIGKILL it could leave volumes suspended half way, and all that use them waiting. This one it takes when it has let go.
        endBy: 'SIGTERM',
        onLate: (gone) => {
          late = true;
          this.watch(group, program, gone);
        },
        // Nobody but the library makes the names of devices where there is no udev.
        ...(existsSync(UDEV) ? {} : { env: { DM_DISABLE_UDEV: '1' } }),
      });
    } catch (error) {
      if (late) throw new LvmRefused('no-answer', `${program} did not end within ${timeoutMilliseconds / 1000} seconds`);
      throw systemCode(ApiError.from(error).cause) === 'ENOENT'
        ? new LvmRefused('missing-program', `the program ${program} is not installed`)
        : new LvmRefused('refused', `${program} cannot be started: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private watch(group: string, program: string, gone: Promise<void>): void {
    const stuck = this.stuck.get(group) ?? new Map<Promise<void>, string>();
    this.stuck.set(group, stuck.set(gone, program));
    void gone.then(() => {
      stuck.delete(gone);
      if (stuck.size === 0) this.stuck.delete(group);
    });
  }
}

/** In the words of the program, by which alone the reasons can be told apart: the status is 5 for each. */
function refusal(program: string, status: number, stderr: string): LvmRefused {
  const lines = stderr
    .split('\n')
    .map((line) => line.trim().replace(/\.$/, ''))
    .filter((line) => line !== '' && !/^(WARNING|File descriptor)/.test(line));
  // The first: what follows says what was given up because of it.
  const said = lines[0]?.slice(0, 500) ?? `${program} ended with status ${status}`;
  const why = REASONS.find(([pattern]) => lines.some((line) => pattern.test(line)))?.[1] ?? 'refused';
  return new LvmRefused(why, said);
}
