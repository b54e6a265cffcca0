// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** dist/test/support → the repository. */
export const repository = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', '..', '..');
export const packageDirectory = join(repository, 'packages', 'native');
/** The built entry of the package, for programs that the tests start. */
export const packageEntry = join(packageDirectory, 'dist', 'src', 'index.js');

/** For a `before`: skips a suite where there is no usable /dev/kvm of any kind; with REQUIRE_KVM=1 that is a failure. */
export function requireKvm(context: Mocha.Context): void {
  makeGuests(context);
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch (error) {
    lacks(context, `no usable /dev/kvm: ${String(error)}`);
  }
}

/** Skips a test, or in a `before` a suite, for want of something. With REQUIRE_KVM=1, on a host that is to have everything, it fails. */
export function lacks(context: Mocha.Context, what: string): void {
  if (process.env['REQUIRE_KVM'] === '1') throw new Error(`REQUIRE_KVM=1: ${what}`);
  console.log(`SKIPPED: ${what}`);
  context.skip();
}

let guests: string | undefined;

/** For a `before`: makes the test guests, once. Compiling what makes them may take a while. */
export function makeGuests(context: Mocha.Context): void {
  if (guests !== undefined) return;
  context.timeout(900_000);
  const directory = mkdtempSync(join(tmpdir(), 'flotilla-guests-'));
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const args = ['run', '--quiet', '--locked', '-p', 'flotilla-test-guests', '--bin', 'make-guests', '--', directory];
  execFileSync('cargo', args, { cwd: repository, stdio: ['ignore', 'ignore', 'inherit'] });
  guests = directory;
}

/** The path of a bare-metal test guest. */
export function guest(name: string): string {
  if (guests === undefined) throw new Error('Make the guests in a `before`');
  return join(guests, `${name}.elf`);
}

/** A new directory, and a function that removes it. */
export function scratch(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'flotilla-native-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** What this process holds: open descriptors by what they lead to, threads, and children, each with its state (`Z`: zombie). */
export function holdings(): { descriptors: string[]; threads: string[]; children: string[] } {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/g, '#');
    } catch {
      return '';
    }
  });
  const threads = readdirSync('/proc/self/task');
  return { descriptors: links.filter((link) => link !== '').sort(), threads, children: children() };
}

/** The children of this process as "pid (name) state". */
function children(): string[] {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return processes.flatMap((pid) => {
    try {
      const [, head, parent] = /^(.*\) \S) (\d+) /s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
      return head !== undefined && Number(parent) === process.pid ? [head] : [];
    } catch {
      return [];
    }
  });
}

/** Whether a process lives; a zombie does not. */
export function isRunning(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  try {
    return !/\) [ZX] /.test(execFileSync('cat', [`/proc/${pid}/stat`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  } catch {
    return false;
  }
}
