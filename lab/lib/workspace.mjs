// SPDX-License-Identifier: Apache-2.0
// The lab's directory of sockets and logs. Its name carries our pid, so that what a killed lab left is found and removed.

import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive } from '../../scripts/lib/cache.mjs';

const PREFIX = 'flotilla-lab-';
/** What QEMU and virtiofsd say on every start. */
const CHATTER = /TCG doesn't support requested feature|^(?:fv_|virtio_)\w+: /;

export class Workspace {
  constructor() {
    removeStale();
    this.directory = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
    this.consoleFile = this.path('console.log');
    this.logFile = this.path('helpers.log');
  }

  path(name) {
    return join(this.directory, name);
  }

  /** Last lines of what kernel and helpers said: the reason when the lab fails. */
  lastWords(lines = 15) {
    const text = [this.logFile, this.consoleFile].map(read).join('');
    return text
      .split(/\r?\n/)
      .filter((line) => line.trim() !== '' && !CHATTER.test(line))
      .slice(-lines)
      .join('\n');
  }

  remove() {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function removeStale() {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    const pid = Number(name.slice(PREFIX.length).split('-')[0]);
    if (pid > 0 && !isAlive(pid)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function read(path) {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
