// SPDX-License-Identifier: Apache-2.0
// What this host is, found out cheaply: files are read, nothing is probed. `flotilla doctor` looks deeper.

import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { Failure } from '../lib/failure.mjs';
import { identityFor } from '../lib/user.mjs';

const LEAST_NODE = [20, 19];

/**
 * @typedef {object} Host
 * @property {string} system as /etc/os-release names it
 * @property {boolean} debian12
 * @property {boolean} root
 * @property {string | undefined} rust version of cargo
 * @property {'hardware' | 'denied' | 'software' | 'none'} kvm `software`: a /dev/kvm without vmx or svm in the processor
 *   flags, which cannot run an unmodified Linux
 * @property {number} cpus
 * @property {number} memoryMiB
 */

/** @returns {Host} */
export function inspectHost() {
  const release = read('/etc/os-release');
  const field = (name) => new RegExp(`^${name}="?([^"\n]*)`, 'm').exec(release)?.[1];
  return {
    system: field('PRETTY_NAME') ?? 'unknown system',
    debian12: field('ID') === 'debian' && field('VERSION_ID') === '12',
    root: process.getuid?.() === 0,
    rust: version('cargo'),
    kvm: kvmKind(),
    cpus: availableParallelism(),
    memoryMiB: Math.round(totalmem() / (1 << 20)),
  };
}

/** One line for a person. */
export function describeHost(host) {
  const kvm = { hardware: 'hardware KVM', denied: '/dev/kvm not permitted', software: 'no hardware KVM', none: 'no KVM' }[host.kvm];
  return (
    `${host.system}, ${host.cpus} processors, ${(host.memoryMiB / 1024).toFixed(1)} GiB, ${kvm}, ` +
    `Node ${process.versions.node}, Rust ${host.rust ?? 'absent'}, ${host.root ? 'root' : 'not root'}`
  );
}

/** Stops at what no package can mend. */
export function requireTools(host) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < LEAST_NODE[0] || (major === LEAST_NODE[0] && minor < LEAST_NODE[1])) {
    throw new Failure(`Node ${process.versions.node} is too old`, `Install Node ${LEAST_NODE.join('.')} or newer: https://nodejs.org`);
  }
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Failure(`Flotilla runs on Linux x86_64, this is ${process.platform} ${process.arch}`);
  }
  if (host.rust === undefined) {
    throw new Failure('Rust is missing', 'Install it from https://rustup.rs, then open a new shell.');
  }
}

function kvmKind() {
  if (!existsSync('/dev/kvm')) return 'none';
  if (!/^flags\b.*\b(?:vmx|svm)\b/m.test(read('/proc/cpuinfo'))) return 'software';
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return 'hardware';
  } catch {
    return 'denied';
  }
}

function version(program) {
  try {
    // rustup may install the compiler on this occasion: into the home of whom it belongs to.
    const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], ...identityFor(program) };
    return execFileSync(program, ['--version'], options).split(' ')[1];
  } catch {
    return undefined;
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
