#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// First step: the system packages machines need, access to /dev/kvm, and the npm packages.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { reportPath, run, runAsRoot } from './host.mjs';

const needed = { dnsmasq: 'dnsmasq-base', nft: 'nftables', ip: 'iproute2' };

const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
const missing = Object.keys(needed).filter((program) => !folders.some((folder) => existsSync(join(folder, program))));
if (missing.length > 0) {
  runAsRoot('apt-get', ['update', '-qq']);
  runAsRoot('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing.map((program) => needed[program])]);
}

if (existsSync('/dev/kvm')) runAsRoot('chmod', ['0666', '/dev/kvm']);
else console.log('::warning::This runner has no /dev/kvm: machines will not start. Linux runners hosted by GitHub have it.');

const version = process.env.FLOTILLA_VERSION ?? 'latest';
if (version !== 'workspace') {
  const prefix = join(process.env.RUNNER_TEMP ?? '/tmp', 'flotilla');
  run('npm', ['install', '--no-audit', '--no-fund', '--prefix', prefix, `@flotilla/cli@${version}`, `@flotilla/sdk@${version}`]);
  reportPath(join(prefix, 'node_modules', '.bin'));
}
