// SPDX-License-Identifier: Apache-2.0
// KVM's own counters of how often guests left for the hypervisor, by reason. One machine at a time is measured, so the sums over all
// machines are its own.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const DEBUGFS = '/sys/kernel/debug';
const COUNTERS = join(DEBUGFS, 'kvm');

/** @returns {Record<string, number> | undefined} undefined where the host does not show them */
export function readCounters() {
  if (!existsSync(COUNTERS)) spawnSync('mount', ['-t', 'debugfs', 'debugfs', DEBUGFS], { stdio: 'ignore' });
  if (!existsSync(COUNTERS)) return undefined;
  const files = readdirSync(COUNTERS, { withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(files.map(({ name }) => [name, Number(readFileSync(join(COUNTERS, name), 'utf8'))]));
}

/** What was counted between the two looks, without the counters that stood still. */
export function counted(before, after) {
  if (before === undefined || after === undefined) return {};
  const moved = Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)]);
  return Object.fromEntries(moved.filter(([, value]) => value > 0));
}
