// SPDX-License-Identifier: Apache-2.0
// The qcow2 image that is measured, and the raw file with as much to allocate.
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';

/** QEMU's default. */
const CLUSTER = 64 << 10;

/**
 * Makes an overlay on the raw file `base` of `bytes`. Every second cluster is its own, so that half of the reads go to the base and half of
 * the clusters are still to be copied by the first write to them.
 */
export function createOverlay(overlay, base, bytes) {
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', overlay], { stdio: ['ignore', 'ignore', 'inherit'] });
  const input = writes(bytes).join('\n');
  execFileSync('qemu-io', ['-f', 'qcow2', overlay], { input, stdio: ['pipe', 'ignore', 'inherit'] });
}

/** Makes a raw file of `bytes` anew, whose every second cluster is a hole. */
export function createHoles(path, bytes) {
  rmSync(path, { force: true });
  const file = openSync(path, 'w');
  ftruncateSync(file, bytes);
  const cluster = Buffer.alloc(CLUSTER, 0xa5);
  for (let at = 0; at < bytes; at += 2 * CLUSTER) writeSync(file, cluster, 0, CLUSTER, at);
  closeSync(file);
}

/** Commands of qemu-io. */
function writes(bytes) {
  const count = Math.floor(bytes / (2 * CLUSTER));
  return Array.from({ length: count }, (_, index) => `write -q -P 0xa5 ${2 * index * CLUSTER} ${CLUSTER}`);
}
