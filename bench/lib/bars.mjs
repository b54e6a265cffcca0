// SPDX-License-Identifier: Apache-2.0
// What the measured values must reach, and what was missed.
import { HOLES_OWN, QCOW2_OWN, VHOST_OWN } from './io-candidates.mjs';
import { DISK_JOBS, isSmall, speedRow } from './jobs.mjs';

/** Greatest values that still meet the bar. */
export const LIMITS = {
  bootRatio: 0.75,
  microRatio: 0.55,
  besideGuestMiB: 7,
  withDevicesMB: 6,
  startMs: 1500,
  createMoreMs: 25,
  perMachineKiB: 256,
};

/** Rows of the data paths that are compared with a peer's: the median of `of` is to be `least`, `most` or `below` times the peer's. */
export const DISK_BARS = Object.keys(DISK_JOBS).flatMap((job) => {
  const speed = speedRow(job);
  return [
    { row: speed, of: 'Flotilla', peer: 'QEMU microvm', least: isSmall(job) ? 1.5 : 2 },
    { row: speed, of: 'Flotilla', peer: 'QEMU q35', least: 1.2 },
    ...(job.endsWith(':4k:32')
      ? ['QEMU microvm', 'QEMU q35'].map((peer) => ({ row: `${job} exits`, of: 'Flotilla', peer, below: 1 }))
      : []),
  ];
});

export const QCOW2_BARS = Object.keys(DISK_JOBS).flatMap((job) => [
  { row: speedRow(job), of: QCOW2_OWN, peer: 'Flotilla', called: 'Flotilla raw', least: 0.85 },
  // Beside the bar: the image allocates, the raw file has all its pages.
  ...(job.includes('write') ? [{ row: speedRow(job), of: QCOW2_OWN, peer: HOLES_OWN, least: 0.85 }] : []),
  { row: speedRow(job), of: QCOW2_OWN, peer: 'QEMU q35 qcow2', least: 1.3 },
]);

export const NETWORK_BARS = [
  ...['send', 'receive'].flatMap((way) => [
    { row: `${way} Mbit/s`, of: 'Flotilla tap', peer: 'QEMU tap', least: 1.3 },
    { row: `${way} Mbit/s`, of: VHOST_OWN, peer: 'QEMU vhost-net', least: 1 },
    { row: `${way} exits`, of: 'Flotilla tap', peer: 'QEMU tap', below: 1 },
    { row: `${way} exits`, of: VHOST_OWN, peer: 'QEMU vhost-net', below: 1 },
  ]),
  // Whichever of the two answers faster.
  { row: 'ping ms', of: 'Flotilla', peer: 'QEMU vhost-net', most: 0.9 },
];

/** Ratio of the boot's median to that of QEMU's microvm. */
export function bootRatio(boot) {
  return boot.Flotilla.median / boot['QEMU microvm'].median;
}

/** The same for the profile micro; or to the QEMU that is named. */
export function microRatio(micro, peer = 'QEMU microvm') {
  return micro['Flotilla micro'].median / micro[peer].median;
}

/** Milliseconds that the API adds to the start of a machine. */
export function createMoreMs(create) {
  return create['through the API'].median - create['worker alone'].median;
}

/** Memory of one hypervisor in millions of bytes, from KiB. */
export function megabytes(kibibytes) {
  return (kibibytes * 1024) / 1e6;
}

/**
 * The ratio of a bar and whether it is met; undefined where one of the two was not measured, because Flotilla or the host cannot do it.
 * @returns {{ ratio: number, met: boolean } | undefined}
 */
export function judge(rows, { row, of, peer, least, most, below }) {
  const values = rows[row] ?? {};
  const own = ownMedian(values, of);
  const other = values[peer]?.median;
  if (own === undefined || other === undefined) return undefined;
  const ratio = own / other;
  if (least !== undefined) return { ratio, met: ratio >= least };
  return { ratio, met: most !== undefined ? ratio <= most : ratio < below };
}

/** The least of Flotilla's ways where the bar names none of them. */
function ownMedian(values, of) {
  if (values[of] !== undefined) return values[of].median;
  const ways = Object.keys(values).filter((name) => of === 'Flotilla' && name.startsWith('Flotilla '));
  return ways.length === 0 ? undefined : Math.min(...ways.map((name) => values[name].median));
}

/** The bar in words. */
export function describeBar({ peer, called = peer, least, most }) {
  if (least !== undefined) return `at least ${least} × ${called}`;
  return most !== undefined ? `at most ${most} × ${called}` : `fewer than ${called}`;
}

/** A line for each missed bar of a data path. */
export function missedRows(rows, bars) {
  return bars.flatMap((bar) => {
    const judged = judge(rows, bar);
    return judged === undefined || judged.met ? [] : [`missed: ${bar.of}, ${bar.row}: ${judged.ratio.toFixed(2)} ×, ${describeBar(bar)}`];
  });
}

/**
 * A line for each bar that was missed. The clock of the lab's own counting is the one that decides, where there is one.
 * What could not be measured here, because it needs KVM, is no miss: the report says that it is not measured.
 */
export function missedBars({ hypervisor, controlPlane: { start, perMachine, create }, disk, network }) {
  const { counted, memory } = hypervisor;
  const { standard, micro } = counted ?? hypervisor;
  const limits = [
    ['boot time, times QEMU microvm', bootRatio(standard), LIMITS.bootRatio],
    ['boot time of the profile micro, times QEMU microvm', microRatio(micro), LIMITS.microRatio],
    ['memory beside the guest’s, MiB', memory.bare.Flotilla.median / 1024, LIMITS.besideGuestMiB],
    ['memory with a disk and an interface, MB', megabytes(memory.equipped.Flotilla.median), LIMITS.withDevicesMB],
    ['start of the orchestrator, ms', start.median, LIMITS.startMs],
    ['orchestrator memory for each machine, KiB', perMachine.median, LIMITS.perMachineKiB],
    ...(create === undefined ? [] : [['what the API adds to a start, ms', createMoreMs(create), LIMITS.createMoreMs]]),
  ]
    .filter(([, value, limit]) => !(value <= limit))
    .map(([what, value, limit]) => `missed: ${what}: ${value.toFixed(2)}, at most ${limit}`);
  return [...limits, ...missedRows(disk.rows, [...DISK_BARS, ...QCOW2_BARS]), ...missedRows(network.rows, NETWORK_BARS)];
}

/** The exit status, each missed bar said on standard error. */
export function verdictOn(missed) {
  for (const line of missed) console.error(`bench: ${line}`);
  return missed.length > 0 ? 1 : 0;
}
