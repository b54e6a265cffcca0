// SPDX-License-Identifier: Apache-2.0
// What a build of flotilla-vmm can do, by its own word. A row that needs more is reported as not there.
import { spawnSync } from 'node:child_process';

import { HUNG, Lost } from './lost.mjs';

const USAGE = 64;
/** The specification cannot be used; no KVM. */
const REFUSED = [2, 3];
const NOWHERE = '/nonexistent';

/** Flags of a machine that cannot start: the worker reads them all before it opens a file. */
export const QCOW2 = ['--disk', `path=${NOWHERE},format=qcow2,backing=raw:${NOWHERE}`];
export const VHOST = ['--net', 'tap=flt-nowhere,vhost=on'];

/** Whether the worker at `program` knows the flags. */
export function takes(program, flags, limitMs = 60_000) {
  const { error, status, stderr } = spawnSync(program, ['run', '--kernel', NOWHERE, ...flags], { encoding: 'utf8', timeout: limitMs });
  if (error?.code === 'ETIMEDOUT') throw new Lost(HUNG, `${program} did not end in ${limitMs / 1000} s`);
  if (error !== undefined) throw error;
  if (status === USAGE) return false;
  if (REFUSED.includes(status)) return true;
  throw new Error(`${program} ${flags.join(' ')} ended with ${status}: ${stderr}`);
}
