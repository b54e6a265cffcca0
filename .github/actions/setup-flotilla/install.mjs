#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// First step: the system packages machines need, access to /dev/kvm, and the npm packages.
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { asRoot, modules, report, reportPath, run } from './host.mjs';

const needed = { dnsmasq: 'dnsmasq-base', nft: 'nftables', ip: 'iproute2' };

const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
const missing = Object.keys(needed).filter((program) => !folders.some((folder) => existsSync(join(folder, program))));
if (missing.length > 0) {
  run(...asRoot('apt-get', ['update', '-qq']));
  run(...asRoot('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing.map((program) => needed[program])]));
}

if (existsSync('/dev/kvm')) run(...asRoot('chmod', ['0666', '/dev/kvm']));
else console.log('::warning::This runner has no /dev/kvm: machines will not start. Linux runners hosted by GitHub have it.');

const version = process.env.FLOTILLA_VERSION ?? 'latest';
if (version === 'workspace') linkCheckout();
else run('npm', ['install', '--no-audit', '--no-fund', '--prefix', dirname(modules), ...packagesOf(version)]);
reportPath(join(modules, '.bin'));
report('sdk', 'FLOTILLA_SDK', join(modules, '@flotilla', 'sdk'));

/** The packages of this checkout where npm would put them. */
function linkCheckout() {
  const packages = fileURLToPath(new URL('../../../packages', import.meta.url));
  const links = { '@flotilla/cli': 'cli', '@flotilla/sdk': 'sdk', '.bin/flotilla': 'cli/bin/flotilla.js' };
  for (const [name, target] of Object.entries(links)) {
    if (!existsSync(join(packages, target))) throw new Error(`${join(packages, target)} is missing: run npm run build first`);
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    rmSync(join(modules, name), { force: true });
    symlinkSync(join(packages, target), join(modules, name));
  }
}

/** What npm is to install. */
function packagesOf(wanted) {
  if (!statSync(wanted, { throwIfNoEntry: false })?.isDirectory()) return [`@flotilla/cli@${wanted}`, `@flotilla/sdk@${wanted}`];
  const tarballs = readdirSync(wanted).filter((name) => name.endsWith('.tgz'));
  if (tarballs.length === 0) throw new Error(`${wanted} holds no tarball: fill it with npm run pack -- --output ${wanted}`);
  return tarballs.map((name) => resolve(wanted, name));
}
