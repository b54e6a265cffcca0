// SPDX-License-Identifier: Apache-2.0
// The NFS server of this kernel, on the loopback link. For a lab: it takes the one server that a host has.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { liveProcesses, run } from './host.js';

const control = '/proc/fs/nfsd';
/** So many seconds clients have to take up again what they had, and others wait; the least that there is. */
const graceSeconds = '10';

export class NfsServer {
  readonly address = '127.0.0.1';
  /** What clients know as `/`. */
  readonly root = mkdtempSync(join(tmpdir(), 'flotilla-export-'));

  /** Exports a directory with these in it. */
  constructor(folders: readonly string[]) {
    for (const folder of folders) mkdirSync(join(this.root, folder));
    run('modprobe', ['nfsd']);
    run('mount', ['-t', 'nfsd', 'nfsd', control]);
    for (const limit of ['nfsv4leasetime', 'nfsv4gracetime']) writeFileSync(join(control, limit), graceSeconds);
    run('exportfs', ['-i', '-o', 'rw,sync,no_root_squash,no_subtree_check,fsid=0', `${this.address}:${this.root}`]);
    run('rpc.mountd', ['-N', '3']);
    this.start();
  }

  start(): void {
    run('rpc.nfsd', ['-N', '3', '-V', '4.2', '4']);
  }

  /** Answers nobody any more; whoever asks waits. */
  stop(): void {
    run('rpc.nfsd', ['0']);
    if (readFileSync(join(control, 'threads'), 'utf8').trim() !== '0') throw new Error('The NFS server goes on');
  }

  destroy(): void {
    this.stop();
    for (const { pid, command } of liveProcesses()) if (command.startsWith('rpc.mountd')) process.kill(pid);
    run('exportfs', ['-u', `${this.address}:${this.root}`]);
    run('umount', [control]);
    rmSync(this.root, { recursive: true });
  }
}
