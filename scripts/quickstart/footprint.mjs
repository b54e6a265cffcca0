// SPDX-License-Identifier: Apache-2.0
// What of ours is on the host: links, nft tables, worker and dnsmasq processes. Taken before and after, the two must be equal.

import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

const PROGRAMS = /(?:^|\/)(?:flotilla-vmm|dnsmasq)$/;

/** @returns {Set<string>} one line of text for each thing */
export function footprint() {
  const links = JSON.parse(output('ip', ['-j', 'link'])).map(({ ifname }) => `link ${ifname}`);
  const tables = output('nft', ['list', 'tables']).split('\n').filter(Boolean);
  return new Set([...links, ...tables, ...processes()]);
}

/** What is there now and was not there `before`. */
export function leftSince(before) {
  return [...footprint()].filter((thing) => !before.has(thing));
}

function processes() {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const [program] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return PROGRAMS.test(program) ? [`process ${pid} ${program}`] : [];
      } catch {
        return [];
      }
    });
}

function output(program, args) {
  return execFileSync(program, args, { encoding: 'utf8' });
}
