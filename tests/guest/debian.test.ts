// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { MachineHandle } from '@flotilla/sdk';
import { Guest } from './lib/guest.js';
import { run } from './lib/host.js';
import { importDebian } from './lib/images.js';
import { useCloud } from './lib/suite.js';

describe('An unmodified Debian 12', () => {
  const cloud = useCloud();
  let guest: Guest;
  let machine: MachineHandle;

  before(async () => {
    const commandLine = await importDebian(cloud().client);
    machine = await cloud().client.machines.create({
      name: 'debian',
      cpus: 2,
      memoryMiB: 768,
      boot: { kernel: 'debian', initrd: 'debian-init', commandLine },
      disks: [{ name: 'root', image: 'debian-disk' }],
      interfaces: [{ name: 'eth0', network: 'default' }],
    });
    guest = await Guest.attach(machine, { prompt: /root@\S+:~# / });
  });

  it('runs the kernel of the distribution, on its own disk', async () => {
    expect(await guest.sh('uname -sr')).to.match(/^Linux 6\.1\..*cloud-amd64/);
    expect(await guest.sh('findmnt -no SOURCE /')).to.equal('/dev/vda');
    expect(await guest.sh('cat /etc/debian_version')).to.match(/^12\./);
  });

  it('has the address that the network gave it, and answers a ping', async () => {
    machine = await machine.refresh();
    await guest.sh(`until ip -4 addr | grep -q ${machine.address}/; do sleep 1; done`, 120_000);
    expect(await guest.sh('ip -4 -o addr show scope global')).to.contain(`${machine.address}/`);
    run('ping', ['-c', '1', '-W', '10', machine.address ?? '']);
  });

  it('is found by its name in the DNS of its network', async () => {
    const network = await cloud().client.networks.get('default');
    expect(await guest.sh(`busybox nslookup debian ${network.ipv4.gateway} 2>&1 || true`)).to.contain(machine.address);
  });

  it('powers off when the button is pressed', async () => {
    const stopped = await machine.stop({ timeoutSeconds: 120, thenKill: false });
    expect(stopped.state).to.equal('stopped');
  });
});
