// SPDX-License-Identifier: Apache-2.0
import type { Mounted } from './mounts.js';

/** The topmost mount at a place, from the text of /proc/self/mountinfo. */
export function mountedAt(mountinfo: string, point: string): Mounted | undefined {
  for (const line of mountinfo.split('\n').reverse()) {
    // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw
    const [place, device] = line.split(' - ');
    const at = place?.split(' ')[4];
    const source = device?.split(' ')[1];
    if (at !== undefined && source !== undefined && plain(at) === point) return { source: plain(source), directory: point };
  }
  return undefined;
}

/** Blanks, tabs, line feeds and backslashes are written as octal numbers. */
function plain(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_whole, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
