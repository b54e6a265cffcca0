// SPDX-License-Identifier: Apache-2.0
// What the host holds: processes, links, addresses, routes, rules, mounts. Compared before and after, nothing may be left.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** Everything Flotilla can leave on a host, as sorted texts. */
export interface HostState {
  readonly workers: readonly string[];
  readonly dnsmasq: readonly string[];
  /** Networks of interfaces without a tap. */
  readonly passt: readonly string[];
  /** What serves shared folders. */
  readonly virtiofsd: readonly string[];
  readonly links: readonly string[];
  /** `link address/prefix`. */
  readonly addresses: readonly string[];
  /** As `ip` shows them, of all routing tables. */
  readonly routes: readonly string[];
  /** Whole nftables tables with all their rules, without counts and handles; each begins with `table family name {`. */
  readonly rules: readonly string[];
  readonly mounts: readonly string[];
  /** Flotilla makes none. */
  readonly cgroups: readonly string[];
}

export function hostState(): HostState {
  return {
    workers: processes((command) => command.includes('flotilla-vmm')),
    dnsmasq: processes((command) => command.includes('dnsmasq')),
    passt: processes((command) => command.startsWith('passt')),
    virtiofsd: processes((command) => command.includes('virtiofsd')),
    links: readdirSync('/sys/class/net').sort(),
    addresses: addresses(),
    routes: [...routes('-4'), ...routes('-6')].sort(),
    rules: run('nft', ['-s', '-n', 'list', 'ruleset'])
      .split(/^(?=table )/m)
      .filter(Boolean)
      .sort(),
    mounts: readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ').slice(0, 3).join(' '))
      .sort(),
    cgroups: readdirSync('/sys/fs/cgroup').filter((name) => name.includes('flotilla')),
  };
}

/** What the kernel gives each link by itself, when it sees fit, and takes with it. */
const linkLocal = /\b(?:fe80:|ff00::)/;

function addresses(): string[] {
  const links = JSON.parse(run('ip', ['-j', 'address'])) as { ifname: string; addr_info: { local: string; prefixlen: number }[] }[];
  return links
    .flatMap(({ ifname, addr_info }) => addr_info.map(({ local, prefixlen }) => `${ifname} ${local}/${prefixlen}`))
    .filter((address) => !linkLocal.test(address))
    .sort();
}

/** How `ip` calls a link that went between its look at the routes and its look at the names: the routes are gone with it. */
const linkThatWent = / dev if\d+\b/;

/** Whether a link has a carrier says nothing about what is left. */
function routes(family: '-4' | '-6'): string[] {
  return run('ip', [family, 'route', 'show', 'table', 'all'])
    .split('\n')
    .map((line) => line.replace(/ (?:linkdown|dead)\b/g, '').trim())
    .filter((line) => line !== '' && !linkLocal.test(line) && !linkThatWent.test(line));
}

function processes(wanted: (command: string) => boolean): string[] {
  return liveProcesses()
    .map(({ command }) => command)
    .filter(wanted)
    .sort();
}

/** Live processes with their command lines; a zombie counts by its name, because nobody has collected it. */
export function liveProcesses(): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => ({ pid: Number(pid), command: commandOf(pid) }))
    .filter(({ command }) => command !== '');
}

function commandOf(pid: string): string {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
    const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    return command === '' ? name : command;
  } catch {
    return ''; // it has ended meanwhile
  }
}

/** Runs a program of the host and gives what it printed. */
export function run(program: string, args: readonly string[]): string {
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
  const done = spawnSync(program, args, { encoding: 'utf8', env });
  if (done.error !== undefined) throw done.error;
  if (done.status !== 0) throw new Error(`${program} ${args.join(' ')} ended with status ${done.status}: ${done.stderr}`);
  return done.stdout;
}

/** Resolves when `look` gives true; fails with `what` after `timeoutMs`. Looks again after each of short waits. */
export async function eventually(what: string, timeoutMs: number, look: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
