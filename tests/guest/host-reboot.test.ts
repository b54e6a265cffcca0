// SPDX-License-Identifier: Apache-2.0
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { Cloud, newPlaces } from './lib/cloud.js';
import { eventually, hostState, run } from './lib/host.js';
import { importSmallGuest } from './lib/images.js';
import { expectNothingLeft } from './lib/suite.js';

describe('After the host went down and came up', () => {
  it('machines run again whose policy says so, and the others are stopped or failed', async () => {
    const held = hostState();
    const first = await Cloud.start(newPlaces());
    await importSmallGuest(first.client);
    const network = { interfaces: [{ name: 'eth0', network: 'default' }] };
    await first.boot('service', { ...network, restartPolicy: { mode: 'always' } });
    await first.boot('once', { ...network, restartPolicy: { mode: 'never' } });
    await first.kill();
    loseEverythingButTheDisk(first.places.runtimeDir);

    const second = await Cloud.start(first.places);
    await (await second.machine('service')).waitFor('running', { timeoutMs: 60_000 });
    await eventually('the other one is known not to run', 10_000, async () =>
      ['failed', 'stopped'].includes((await second.machine('once')).state),
    );
    await second.destroy();
    expectNothingLeft(held);
  });
});

/** What a reboot takes away: processes, links, tables, and the runtime directory, which lies on a tmpfs. */
function loseEverythingButTheDisk(runtimeDir: string): void {
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const command = commandOf(pid);
    if (command.includes('flotilla-vmm') || (command.includes('dnsmasq') && command.includes('flo'))) process.kill(Number(pid), 'SIGKILL');
  }
  for (const link of readdirSync('/sys/class/net').filter((name) => /^flo/.test(name))) run('ip', ['link', 'delete', link]);
  for (const table of run('nft', ['list', 'tables'])
    .split('\n')
    .filter((line) => / flotilla/.test(line)))
    run('nft', ['delete', ...table.split(' ')]);
  rmSync(runtimeDir, { recursive: true, force: true });
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
