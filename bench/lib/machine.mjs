// SPDX-License-Identifier: Apache-2.0
// On what a measurement ran: here or, called there, in the lab.
import { cpus, release, type } from 'node:os';

/** The processor as it calls itself. */
export function cpuModel() {
  return cpus()[0]?.model.trim() ?? 'unknown';
}

export function kernelRelease() {
  return `${type()} ${release()}`;
}
