// SPDX-License-Identifier: Apache-2.0
// A guest with two disks, vda and vdb, made from one image that has a file system with the file `text`.
import { expect } from 'chai';
import { Guest } from './guest.js';
import { eventually } from './host.js';
import { waitLimitMs } from './limits.js';

/** A line for the guest's shell that does something with each of the two, by its name in `$d`. */
export function eachDisk(what: string): string {
  return `for d in vda vdb; do ${what}; done`;
}

/** Has a guest write on both, kills its worker and starts it again: what was written is there, and mounted in the guest that is given. */
export async function surviveDeath(guest: Guest): Promise<Guest> {
  const mounted = 'mkdir -p /mnt/$d && mount -t ext4 /dev/$d /mnt/$d';
  await guest.sh(eachDisk(`${mounted} && yes "on $d" | head -c 1048576 > /mnt/$d/own`));
  await guest.sh('sync');
  process.kill((await guest.machine.refresh()).data.observed.workerPid ?? 0, 'SIGKILL');
  await eventually('the machine is failed', waitLimitMs, async () => (await guest.machine.refresh()).state === 'failed');
  const again = await Guest.attach(await guest.machine.start());
  expect(await again.sh(eachDisk(`${mounted} && yes "on $d" | head -c 1048576 | cmp - /mnt/$d/own && cat /mnt/$d/text`))).to.equal(
    'from the imagefrom the image',
  );
  return again;
}
