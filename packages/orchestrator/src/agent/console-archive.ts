// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ConsoleLog } from '../host-agent/host-agent.js';
import { PARTIAL_SUFFIX } from './files/durable.js';
import type { Keep } from './touched.js';

/** Console output that is kept of each machine, the newest. */
export const CONSOLE_KEEP_BYTES = 1024 * 1024;
const HEADER_BYTES = 8;

/** The last console output of each machine, kept on disk and bounded, so that a stopped machine can be read too. */
export class ConsoleArchive {
  constructor(private readonly directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** Stores what a console has shown; only the newest part is kept. */
  async store(id: string, log: ConsoleLog): Promise<void> {
    const cut = Math.max(0, log.bytes.length - CONSOLE_KEEP_BYTES);
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeBigUInt64LE(BigInt(log.offset + cut));
    const temporary = `${this.path(id)}${PARTIAL_SUFFIX}`;
    const handle = await open(temporary, 'w', 0o600);
    try {
      await handle.writev([header, log.bytes.subarray(cut)]);
    } finally {
      await handle.close();
    }
    await rename(temporary, this.path(id));
  }

  async load(id: string): Promise<ConsoleLog> {
    const file = await readFile(this.path(id)).catch(() => undefined);
    if (file === undefined || file.length < HEADER_BYTES) return { offset: 0, bytes: new Uint8Array() };
    return { offset: Number(file.readBigUInt64LE()), bytes: file.subarray(HEADER_BYTES) };
  }

  async remove(id: string): Promise<void> {
    await rm(this.path(id), { force: true });
    await rm(`${this.path(id)}${PARTIAL_SUFFIX}`, { force: true });
  }

  async collect(owned: Keep): Promise<string[]> {
    const removed: string[] = [];
    for (const name of await readdir(this.directory)) {
      // A partial file is being written, or was when a process was killed: the next one writes over it.
      if (owned.has(name.replace(PARTIAL_SUFFIX, ''))) continue;
      await rm(join(this.directory, name), { force: true });
      removed.push(join(this.directory, name));
    }
    return removed;
  }

  private path(id: string): string {
    return join(this.directory, id);
  }
}
