// SPDX-License-Identifier: Apache-2.0
// The data paths as tables: a line for each row, with every candidate, the bars and whether they were met.
import { DISK_BARS, NETWORK_BARS, QCOW2_BARS, describeBar, judge } from './bars.mjs';
import { HOLES_OWN, QCOW2_OWN, VHOST_OWN } from './io-candidates.mjs';
import { DISK_JOBS, NETWORK_JOBS, isSmall, speedRow } from './jobs.mjs';

const DISK_LINES = Object.entries(DISK_JOBS).flatMap(([job, name]) => [
  isSmall(job) ? [speedRow(job), `${name}, IOPS`, 0] : [speedRow(job), `${name}, MiB/s`, 1],
  [`${job} exits`, 'exits for each request', 2],
]);

const NETWORK_LINES = [
  ...['send', 'receive'].flatMap((way) => [
    [`${way} Mbit/s`, `${NETWORK_JOBS[way]}, Mbit/s`, 0],
    [`${way} exits`, 'exits for each MiB', 2],
  ]),
  ['ping ms', `${NETWORK_JOBS.ping}, ms`, 3],
];

/** Candidates by column. */
const RAW_COLUMNS = { Flotilla: 'Flotilla', 'QEMU microvm': 'QEMU microvm', 'QEMU q35': 'QEMU q35' };
const QCOW2_COLUMNS = { 'Flotilla raw': 'Flotilla', [HOLES_OWN]: HOLES_OWN, [QCOW2_OWN]: QCOW2_OWN, 'QEMU q35 qcow2': 'QEMU q35 qcow2' };
const NETWORK_COLUMNS = {
  'Flotilla tap': 'Flotilla tap',
  [VHOST_OWN]: VHOST_OWN,
  'QEMU tap': 'QEMU tap',
  'QEMU vhost-net': 'QEMU vhost-net',
};

/**
 * @param {{ rows: object, absent: readonly string[], clock: string, labs?: { started: number, hung: number, broke: number } }} measured `absent`: candidates
 *   that this build cannot be
 */
export function diskTable(measured) {
  return [
    `## Disk: fio in the guest, direct, file in memory, 1 vCPU; ${measured.clock}`,
    '',
    'QEMU with an I/O thread and io_uring.',
    '',
    ...lostLabs(measured.labs),
    ...table(measured, RAW_COLUMNS, DISK_LINES, DISK_BARS),
    '',
    'The same on a qcow2 image with a raw backing file. Every second cluster is the image’s own at the start of each run.',
    'Of the raw file with holes every second cluster is to be allocated too, which that of the first column has all: reads of holes move nothing',
    'and are left out.',
    '',
    ...table(measured, QCOW2_COLUMNS, DISK_LINES, QCOW2_BARS),
    '',
  ];
}

export function networkTable(measured) {
  return [
    `## Network: iperf3 and ping between the guest and its host; ${measured.clock}`,
    '',
    ...lostLabs(measured.labs),
    ...table(measured, NETWORK_COLUMNS, NETWORK_LINES, NETWORK_BARS),
    '',
  ];
}

/** What became of the labs that counted instructions, where there were any. */
export function lostLabs(labs) {
  if (labs === undefined) return [];
  const { started, hung, broke, dead } = labs;
  return [
    `A lab for each run; of ${started}, ${hung} hung, ${broke} broke their guest and ${dead} did not start: those runs were made again.`,
    '',
  ];
}

function table({ rows, absent }, columns, lines, bars) {
  const nothing = (name) => (absent.includes(name) ? 'not there' : 'not measured');
  const cell = (name, row, digits) => figure(rows[row]?.[name], digits) ?? nothing(name);
  const verdict = (bar) => judgement(rows, bar) ?? nothing(bar.of);
  return [
    `| measure | ${Object.keys(columns).join(' | ')} | bar | |`,
    `|---|${'---|'.repeat(Object.keys(columns).length)}---|---|`,
    ...lines.map(([row, measure, digits]) => {
      const cells = Object.values(columns).map((name) => cell(name, row, digits));
      const own = bars.filter((bar) => bar.row === row);
      return `| ${[measure, ...cells, own.map(describeBar).join('; '), own.map(verdict).join('; ')].join(' | ')} |`;
    }),
  ];
}

function figure(value, digits) {
  if (value === undefined) return undefined;
  const text = (number) => number.toFixed(digits);
  return `${text(value.median)} (${text(value.min)}–${text(value.max)})`;
}

function judgement(rows, bar) {
  const judged = judge(rows, bar);
  return judged === undefined ? undefined : `${judged.ratio.toFixed(2)} ×, ${judged.met ? 'met' : '**missed**'}`;
}
