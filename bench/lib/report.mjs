// SPDX-License-Identifier: Apache-2.0
// The results as docs/benchmarks.md: every row, also the lost ones, with the bar and whether it was met.
import { spawnSync } from 'node:child_process';

import { describeHost } from '../../scripts/setup/index.mjs';
import { LIMITS, bootRatio, createMoreMs } from './bars.mjs';

const LAB = `- Boot and memory were measured in the lab (emulated CPU, real KVM): compare the columns, not the clock. The emulated CPU
  of the first row needs a nanosecond for each instruction, whoever's it is; by the host's clock, in the second row, the emulator's own
  work counts too: it translates code before it runs it the first time, and a boot is mostly code that runs once.
- Flotilla has an entropy device in these runs, QEMU has no device but the serial port.`;

export function report({ host, machine, hypervisor, controlPlane, inLab }) {
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
    inLab ? LAB : '- Boot and memory were measured on hardware.',
    '',
    ...hypervisorTable(hypervisor),
    ...controlPlaneTable(controlPlane),
  ].join('\n')}\n`;
}

function hypervisorTable({ boot, counted, memory }) {
  const names = Object.keys(boot);
  const beside = memory.Flotilla.median / 1024;
  return [
    '## One machine: small kernel, 1 vCPU, 128 MiB',
    '',
    `| measure | ${names.join(' | ')} | bar | |`,
    `|---|${names.map(() => '---').join('|')}|---|---|`,
    ...(counted === undefined
      ? [bootRow('process start to power-off, ms', boot, true)]
      : [bootRow('process start to power-off, ms of the lab', counted, true), bootRow('the same by the host’s clock, ms', boot, false)]),
    `| resident beside guest memory, MiB | ${names.map((name) => cell(memory[name], 1024)).join(' | ')} | at most ${LIMITS.besideGuestMiB} | ${verdict(beside <= LIMITS.besideGuestMiB)} |`,
    '',
  ];
}

function bootRow(measure, boot, hasBar) {
  const ratio = bootRatio(boot);
  const limit = LIMITS.bootRatio;
  const bar = hasBar ? `at most ${limit} × QEMU microvm | ${ratio.toFixed(2)} ×, ${verdict(ratio <= limit)}` : ` | ${ratio.toFixed(2)} ×`;
  return `| ${measure} | ${Object.values(boot)
    .map((value) => cell(value))
    .join(' | ')} | ${bar} |`;
}

function controlPlaneTable({ start, perMachine, create }) {
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
