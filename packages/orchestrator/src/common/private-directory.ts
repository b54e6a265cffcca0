// SPDX-License-Identifier: Apache-2.0
import { chmodSync, closeSync, constants, mkdirSync, openSync, statSync } from 'node:fs';
import { systemCode } from './system-code.js';

/** The directory belongs to somebody else, who could put anything into it. */
export class DirectoryNotOurs extends Error {
  override name = 'DirectoryNotOurs';
  constructor(path: string, owner: number, self: number) {
    super(
      `${path} belongs to user ${owner}, this process is user ${self}. Run \`chown ${self} ${path}\`, or set FLOTILLA_DATA_DIR to another directory.`,
    );
  }
}

/**
 * Makes a directory that only its owner may enter. One that is there already must be our own; what others were allowed in it is
 * taken away, and answered: who had it open keeps that.
 */
export function takePrivate(path: string): { wasOpen: boolean } {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const facts = statSync(path);
  const self = process.geteuid?.() ?? facts.uid;
  if (facts.uid !== self) throw new DirectoryNotOurs(path, facts.uid, self);
  const wasOpen = (facts.mode & 0o077) !== 0;
  if (wasOpen) chmodSync(path, 0o700);
  return { wasOpen };
}

/** Makes a file that its owner alone may read, before others write to it with whatever mode they like; one that is there becomes so. */
export function makePrivate(path: string): void {
  try {
    closeSync(openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, 0o600));
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    chmodSync(path, 0o600); // NOTE: to open and close it here would drop the locks that this process has on it
  }
}
