// SPDX-License-Identifier: Apache-2.0
import { type FSWatcher, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

/** dnsmasq empties its file before it writes it anew: it is read once that is over. */
const SETTLE_MILLISECONDS = 100;

/** Watches the lease files of networks by inotify and tells when one has changed. What they say is read when it is asked for. */
export class LeaseWatcher {
  private readonly watchers = new Map<string, FSWatcher>();
  private readonly listeners = new Set<() => void>();
  private timer: NodeJS.Timeout | undefined;

  /** Calls back after each change; answers how to stop that. */
  listen(changed: () => void): () => void {
    this.listeners.add(changed);
    return () => void this.listeners.delete(changed);
  }

  /** Begins to watch the file of a network; its directory must be there. Does nothing when it is watched already. */
  add(network: string, file: string): void {
    if (this.watchers.has(network)) return;
    try {
      const watcher = watch(dirname(file), { persistent: false }, (_kind, name) => {
        if (name === basename(file)) this.soon();
      });
      this.watchers.set(
        network,
        watcher.on('error', () => this.remove(network)),
      );
    } catch {
      return; // no directory yet, or no inotify watch left: the periodic look at the leases sees them all the same
    }
    this.soon();
  }

  remove(network: string): void {
    this.watchers.get(network)?.close();
    this.watchers.delete(network);
  }

  /** Tells about a change soon; changes that come together are told once. */
  soon(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      for (const changed of this.listeners) changed();
    }, SETTLE_MILLISECONDS).unref();
  }

  close(): void {
    clearTimeout(this.timer);
    for (const network of [...this.watchers.keys()]) this.remove(network);
  }
}
