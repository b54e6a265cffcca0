// SPDX-License-Identifier: Apache-2.0
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { expect } from 'chai';
import { Cloud, newPlaces } from './lib/cloud.js';
import { Guest } from './lib/guest.js';
import { eventually, hostState, run } from './lib/host.js';
import { importSmallGuest } from './lib/images.js';
import { expectNothingLeft } from './lib/suite.js';
import { waitLimitMs } from './lib/limits.js';

describe('After the host went down and came up', () => {
  it('machines run again whose policy says so, and the others are stopped or failed', async () => {
    const held = hostState();
    const first = await Cloud.start(newPlaces());
    await importSmallGuest(first.client);
    const network = { interfaces: [{ name: 'eth0', network: 'default' }] };
    const old = await first.boot('service', { ...network, commandLine: 'flotilla.net=dhcp', restartPolicy: { mode: 'always' } });
    await first.boot('once', { ...network, restartPolicy: { mode: 'never' } });
    const pid = (await old.machine.refresh()).data.observed.workerPid;
    await first.kill();
    loseEverythingButTheDisk(first.places.runtimeDir);

    const second = await Cloud.start(first.places);
    // Until the host was looked at, the API tells what was so before.
    await eventually('it runs in another worker', waitLimitMs, async () => {
      const { observed } = (await second.machine('service')).data;
      return observed.state === 'running' && observed.workerPid !== undefined && observed.workerPid !== pid;
    });
    const service = await Guest.attach(await second.machine('service'));
    const { ipv4 } = await second.client.networks.get('default');
    expect(await service.sh('ip -4 addr show eth0')).to.contain(`inet ${service.machine.address}/`);
    await service.sh(`ping -c 1 -W 5 ${ipv4?.gateway}`);
    await eventually('the other one is known not to run', waitLimitMs, async () =>
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
