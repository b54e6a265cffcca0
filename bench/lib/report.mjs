// SPDX-License-Identifier: Apache-2.0
// The results as docs/benchmarks.md: every row, also the lost ones, with the bar and whether it was met.
import { spawnSync } from 'node:child_process';

import { describeHost } from '../../scripts/setup/index.mjs';
import { LIMITS, bootRatio, createMoreMs, megabytes, microRatio } from './bars.mjs';
import { diskTable, lostLabs, networkTable } from './rows.mjs';

const LAB = `- What needs KVM was measured in the lab (emulated CPU, real KVM): compare the columns, not the clock. By the lab’s own clock the emulated
  CPU needs a nanosecond for each instruction, whoever's it is; by the host's clock the emulator's own work counts too: it translates code
  before it runs it the first time, and a boot is mostly code that runs once.
- Where memory and boots are measured Flotilla has an entropy device, QEMU has no device but the serial port.`;

export function report({ host, machine, hypervisor, controlPlane, disk, network, inLab }) {
  const { qemu, cpu, kernel } = hypervisor.versions;
  return `${[
    '# Benchmarks',
    '',
    'Written by `npm run bench`; do not edit. Medians of alternating runs, least and greatest in brackets.',
    '',
    `- Host: ${describeHost(host)}; ${machine.cpu}; ${machine.kernel}`,
    ...(inLab ? [`- Lab: ${cpu}; ${kernel}`] : []),
    `- Peer: ${qemu}`,
    `- Flotilla: ${output('git', ['describe', '--always', '--dirty'])}, ${output('rustc', ['--version'])}`,
    inLab ? LAB : '- What needs KVM was measured on hardware.',
    '- Where the time of a boot goes, and what was done about it: [notes/boot-time.md](notes/boot-time.md).',
    '',
    ...hypervisorTable(hypervisor),
    ...diskTable(disk),
    ...networkTable(network),
    ...controlPlaneTable(controlPlane),
  ].join('\n')}\n`;
}

/** Boots and memory; where they were counted, by both clocks. */
export function hypervisorTable({ standard, micro, counted, labs, memory }) {
  const names = Object.keys(standard);
  const beside = memory.bare.Flotilla.median / 1024;
  const equipped = megabytes(memory.equipped.Flotilla.median);
  return [
    '## One machine: small kernel, 1 vCPU, 128 MiB',
    '',
    ...lostLabs(labs),
    `| measure | ${names.join(' | ')} | bar | |`,
    `|---|${names.map(() => '---').join('|')}|---|---|`,
    ...bootRows(standard, counted?.standard, bootVerdict),
    `| resident beside guest memory, MiB | ${names.map((name) => cell(memory.bare[name], 1024)).join(' | ')} | at most ${LIMITS.besideGuestMiB} | ${verdict(beside <= LIMITS.besideGuestMiB)} |`,
    `| the same with a disk and an interface, MB | ${names.map((name) => cell(memory.equipped[name], 1e6 / 1024)).join(' | ')} | at most ${LIMITS.withDevicesMB} | ${verdict(equipped <= LIMITS.withDevicesMB)} |`,
    '',
    '## The same with the profile micro',
    '',
    'No ACPI, so the guest ends by a triple fault, under QEMU as well. QEMU’s microvm has ACPI unless told otherwise; both are measured.',
    '',
    `| measure | ${Object.keys(micro).join(' | ')} | bar | |`,
    `|---|${'---|'.repeat(Object.keys(micro).length)}---|---|`,
    ...bootRows(micro, counted?.micro, microVerdict),
    '',
  ];
}

/** The lab’s own clock decides where there is one; the other row has no bar then. */
function bootRows(boot, counted, judged) {
  if (counted === undefined) return [bootRow('process start to power-off, ms', boot, judged(boot))];
  const { ratio } = judged(boot);
  return [
    bootRow('process start to power-off, ms of the lab', counted, judged(counted)),
    bootRow('the same by the host’s clock, ms', boot, { bar: '', ratio }),
  ];
}

function bootRow(measure, boot, { bar, ratio, met }) {
  const cells = Object.values(boot).map((value) => cell(value));
  return `| ${[measure, ...cells, bar, met === undefined ? ratio : `${ratio}, ${verdict(met)}`].join(' | ')} |`;
}

function bootVerdict(boot) {
  const ratio = bootRatio(boot);
  return { bar: `at most ${LIMITS.bootRatio} × QEMU microvm`, ratio: `${ratio.toFixed(2)} ×`, met: ratio <= LIMITS.bootRatio };
}

function microVerdict(micro) {
  const ratio = microRatio(micro);
  const like = microRatio(micro, 'QEMU microvm, acpi=off');
  return {
    bar: `at most ${LIMITS.microRatio} × QEMU microvm`,
    ratio: `${ratio.toFixed(2)} × (${like.toFixed(2)} × without ACPI)`,
    met: ratio <= LIMITS.microRatio,
  };
}

export function controlPlaneTable({ start, perMachine, create }) {
  const { startMs, perMachineKiB } = LIMITS;
  return [
    '## Control plane, on the host itself',
    '',
    '| measure | value | bar | |',
    '|---|---|---|---|',
    `| orchestrator, process start to listening, ms | ${cell(start)} | at most ${startMs} | ${verdict(start.median <= startMs)} |`,
    ...createRows(create),
    `| orchestrator memory for each of 1,000 machines, KiB | ${cell(perMachine)} | at most ${perMachineKiB} | ${verdict(perMachine.median <= perMachineKiB)} |`,
    '',
  ];
}

/** Without KVM the rows stay, so that nobody takes them for met. */
function createRows(create) {
  const alone = 'worker alone, process start to first output of a bare-metal guest, ms';
  const through = 'the same through SDK, API and worker, ms';
  const limit = LIMITS.createMoreMs;
  if (create === undefined) {
    return [
      `| ${alone} | not measured | | |`,
      `| ${through} | not measured | at most ${limit} more | needs /dev/kvm, which this host has not |`,
    ];
  }
  const more = createMoreMs(create);
  return [
    `| ${alone} | ${cell(create['worker alone'])} | | |`,
    `| ${through} | ${cell(create['through the API'])} | at most ${limit} more | ${more.toFixed(1)} more, ${verdict(more <= limit)} |`,
  ];
}

function cell({ min, median, max }, unit = 1) {
  const text = (value) => (value / unit).toFixed(1);
  return `${text(median)} (${text(min)}–${text(max)})`;
}

function verdict(met) {
  return met ? 'met' : '**missed**';
}

function output(program, args) {
  return spawnSync(program, args, { encoding: 'utf8' }).stdout.trim();
}
