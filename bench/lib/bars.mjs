// SPDX-License-Identifier: Apache-2.0
// What the measured values must reach, and what was missed.

/** Greatest values that still meet the bar. */
export const LIMITS = { bootRatio: 0.75, besideGuestMiB: 7, startMs: 1500, createMoreMs: 25, perMachineKiB: 256 };

/** Ratio of the boot's median to that of QEMU's microvm. */
export function bootRatio(boot) {
  return boot.Flotilla.median / boot['QEMU microvm'].median;
}

/** Milliseconds that the API adds to the start of a machine. */
export function createMoreMs(create) {
  return create['through the API'].median - create['worker alone'].median;
}

/**
 * A line for each bar that was missed. The clock of the lab's own counting is the one that decides, where there is one.
 * What could not be measured here, because it needs KVM, is no miss: the report says that it is not measured.
 */
export function missedBars({ hypervisor: { boot, counted, memory }, controlPlane: { start, perMachine, create } }) {
  return [
    ['boot time, times QEMU microvm', bootRatio(counted ?? boot), LIMITS.bootRatio],
    ['memory beside the guest’s, MiB', memory.Flotilla.median / 1024, LIMITS.besideGuestMiB],
    ['start of the orchestrator, ms', start.median, LIMITS.startMs],
    ['orchestrator memory for each machine, KiB', perMachine.median, LIMITS.perMachineKiB],
    ...(create === undefined ? [] : [['what the API adds to a start, ms', createMoreMs(create), LIMITS.createMoreMs]]),
  ]
    .filter(([, value, limit]) => !(value <= limit))
    .map(([what, value, limit]) => `missed: ${what}: ${value.toFixed(2)}, at most ${limit}`);
}

/** The exit status, each missed bar said on standard error. */
export function verdictOn(results) {
  const missed = missedBars(results);
  for (const line of missed) console.error(`bench: ${line}`);
  return missed.length > 0 ? 1 : 0;
}
