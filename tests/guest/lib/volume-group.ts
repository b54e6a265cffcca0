// SPDX-License-Identifier: Apache-2.0
// A volume group of this kernel on a file, with what belongs to others in it. For a lab.
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { liveProcesses, run } from './host.js';

const mebibyte = 1024 * 1024;
/** What is in all extents that are free, as an earlier owner has left it. */
export const leftByOthers = 'left by others\n';

export class TestGroup {
  readonly name = 'flotest';
  /** Answers writes that find no space with an error at once, where others wait a minute for somebody to enlarge it. */
  readonly thinPool = 'thin';
  readonly #folder = mkdtempSync(join(tmpdir(), 'flotilla-lvm-'));
  readonly #loop: string;
  readonly #monitors = monitors();

  /** Has a thin pool of `thinMiB`, two volumes of others, and the rest free. */
  constructor(sizeMiB: number, thinMiB: number) {
    for (const module of ['loop', 'dm_thin_pool']) run('modprobe', [module]);
    // Nobody else makes the names of devices in a lab without udev.
    if (!existsSync('/run/udev/control')) process.env['DM_DISABLE_UDEV'] = '1';
    const file = join(this.#folder, 'disk');
    writeFileSync(file, '');
    truncateSync(file, sizeMiB * mebibyte);
    this.#loop = run('losetup', ['-f', '--show', file]).trim();
    run('vgcreate', ['-y', this.name, this.#loop]);
    const thin = ['--type', 'thin-pool', '-L', `${thinMiB}m`, '--poolmetadatasize', '4m'];
    run('lvcreate', ['-y', ...thin, '-n', this.thinPool, this.name]);
    run('lvchange', ['-y', '--errorwhenfull', 'y', `${this.name}/${this.thinPool}`]);
    run('lvcreate', ['-y', '-L', '8m', '-n', 'foreign', this.name]);
    run('lvcreate', ['-y', '-V', '8m', '--thinpool', this.thinPool, '-n', 'foreign-thin', this.name]);
    for (const name of ['foreign', 'foreign-thin'])
      writeFileSync(this.device(name), Buffer.alloc(8 * mebibyte, `${name} `), { flag: 'r+' });
    this.#takeFree((path, bytes) => writeFileSync(path, Buffer.alloc(bytes, leftByOthers), { flag: 'r+' }));
  }

  device(volume: string): string {
    return join('/dev', this.name, volume);
  }

  /** What LVM and the devices say of all that is not ours, the tags of the pools left out. */
  foreign(): string[] {
    const rows = run('lvs', ['--noheadings', '-o', 'lv_name,lv_uuid,lv_size,lv_attr,lv_tags', '-S', 'lv_name=~^foreign', this.name]);
    return [rows, ...['foreign', 'foreign-thin'].map((name) => run('md5sum', [this.device(name)]))];
  }

  /** Names of the volumes that bear the tag of Flotilla, the thin pool among them while it is a pool. */
  ours(): string[] {
    return run('lvs', ['--noheadings', '-o', 'lv_name', '-S', 'lv_tags=flotilla', this.name])
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean)
      .sort();
  }

  tags(): string {
    return run('vgs', ['--noheadings', '-o', 'vg_tags', this.name]).trim();
  }

  enlargeThinPool(moreMiB: number): void {
    run('lvextend', ['-L', `+${moreMiB}m`, `${this.name}/${this.thinPool}`]);
  }

  /** Whether a text is in the extents that are free. */
  freeHolds(text: string): boolean {
    let found = false;
    this.#takeFree((path) => {
      found = run('sh', ['-c', 'grep -a -q -- "$1" "$2" && echo yes || true', 'sh', text, path]) !== '';
    });
    return found;
  }

  destroy(): void {
    run('vgremove', ['-f', '-y', this.name]);
    run('losetup', ['-d', this.#loop]);
    rmSync(this.#folder, { recursive: true });
    // LVM starts it for the first thin pool, and leaves it.
    for (const pid of monitors()) if (!this.#monitors.includes(pid)) process.kill(pid);
  }

  #takeFree(use: (path: string, bytes: number) => void): void {
    run('lvcreate', ['-y', '-Wn', '-Zn', '-l', '100%FREE', '-n', 'rest', this.name]);
    use(this.device('rest'), Number(run('blockdev', ['--getsize64', this.device('rest')])));
    run('lvremove', ['-f', '-y', `${this.name}/rest`]);
  }
}

function monitors(): number[] {
  return liveProcesses()
    .filter(({ command }) => command.includes('dmeventd'))
    .map(({ pid }) => pid);
}
