// SPDX-License-Identifier: Apache-2.0
// The Rust core's own tests on hardware KVM, and those of them that need a real kernel. They were built before the suite
// (tests/runner/core-tests.mjs). A skipped test is a failure here: this is the place that has what they need.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { expect } from 'chai';
import { builtImages } from './lib/images.js';
import { bootLimitMs } from './lib/limits.js';

interface CoreTests {
  readonly linux: string;
  readonly kvm: string;
  readonly machine: string;
  readonly hostile: string;
}

/** What takes long has a test of its own here, so that each has its own time. */
const boots = ['linux_boots_by_pvh', 'linux_boots_from_an_elf_by_its_own_protocol', 'linux_boots_from_a_bzimage'];
const hostile = [
  'a_hostile_guest_gets_to_its_end_and_harms_nothing',
  'a_hostile_guest_with_a_network_harms_nothing_either',
  'a_hostile_guest_of_a_micro_machine_harms_nothing_either',
  'a_flood_that_nobody_reads_is_bounded',
  'a_worker_with_output_that_nobody_reads_obeys_a_signal',
];
/** How far its attacks get before a device answers is a matter of time, which a lab has little of; the unit tier runs it. */
const raced = 'hostile_guests_get_through_to_the_devices';

function coreTests(): CoreTests {
  const text = process.env['FLOTILLA_CORE_TESTS'];
  if (text === undefined) throw new Error('FLOTILLA_CORE_TESTS is not set: run the suite with `npm test -- --tier guest`');
  return JSON.parse(text) as CoreTests;
}

/** Runs a test program and gives its output; fails with it when a test failed. */
function run(program: keyof CoreTests, args: readonly string[]): string {
  const { kernel, initramfs } = builtImages();
  const env = {
    ...process.env,
    REQUIRE_KVM: '1',
    FLOTILLA_TEST_VMLINUX: kernel.vmlinux,
    FLOTILLA_TEST_BZIMAGE: kernel.bzImage,
    FLOTILLA_TEST_INITRD: initramfs.initramfs,
  };
  const done = spawnSync(coreTests()[program], args, {
    encoding: 'utf8',
    env,
    timeout: bootLimitMs,
    killSignal: 'SIGKILL',
    maxBuffer: 1 << 26,
  });
  const output = `${done.stdout}${done.stderr}`;
  expect(done.error, output).to.equal(undefined);
  expect(done.status, output).to.equal(0);
  return output;
}

/** Runs the tests that `filters` select and fails unless at least one ran and none skipped. */
function runAll(program: keyof CoreTests, filters: readonly string[]): void {
  const output = run(program, [...filters, '--show-output', '--test-threads=1']);
  expect(output).not.to.match(/^SKIPPED:/m);
  expect(output).to.match(/^test result: ok\. [1-9]\d* passed; 0 failed; 0 ignored;/m);
}

/** Names of all tests in a program. */
function testsOf(program: keyof CoreTests): string[] {
  const listed = run(program, ['--list', '--format', 'terse'])
    .split('\n')
    .filter((line) => line.endsWith(': test'));
  return listed.map((line) => line.replace(': test', '')).sort();
}

/** The modules of the tests with whole machines, as the program itself lists them: all that need KVM are in one of these. */
function machineModules(): string[] {
  const modules = testsOf('machine').flatMap((name) => /^tests::(\w+)::/.exec(name)?.[1] ?? []);
  return [...new Set(modules)];
}

describe('The Rust core on hardware KVM', () => {
  for (const name of boots) {
    it(name.replaceAll('_', ' '), () => runAll('linux', ['--ignored', '--exact', name]));
  }

  it('has no other Linux boot', () => expect(testsOf('linux')).to.deep.equal([...boots].sort()));

  it('passes the tests of the hypervisor', () => runAll('kvm', []));

  for (const name of machineModules()) {
    it(`passes the machine's tests: ${name}`, () => runAll('machine', [`tests::${name}::`, '--skip', raced]));
  }

  it('has a module of these in each file beside the machine, and passed over only what it names', () => {
    const files = readdirSync(new URL('../../../crates/vmm/src/tests', import.meta.url)).filter((file) => file !== 'mod.rs');
    expect(machineModules()).to.deep.equal(files.map((file) => file.replace('.rs', '')).sort());
    expect(testsOf('machine').filter((name) => name.includes(raced))).to.have.length(1);
  });

  for (const name of hostile) {
    it(name.replaceAll('_', ' '), () => runAll('hostile', ['--exact', name]));
  }

  it('has no other hostile guest', () => expect(testsOf('hostile')).to.deep.equal([...hostile].sort()));
});
