// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { MachineHandle } from '@flotilla/sdk';
import { debian, Guest } from './lib/guest.js';
import { bootLimitMs } from './lib/limits.js';
import { importDebian } from './lib/images.js';
import { useCloud } from './lib/suite.js';

const key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefghijklmnopqrstuvwxyz0123456789ABCDEFG tester@here';
/** Without the modules that have nothing to do here: each takes seconds in the lab. */
const userData = `#cloud-config
cloud_init_modules: [write-files, set_hostname, users-groups, ssh]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user]
write_files:
  - path: /written
    content: by cloud-init
runcmd:
  - [sh, -c, 'echo once >> /run-once']
`;

describe('cloud-init of an unmodified Debian 12', () => {
  const cloud = useCloud();
  let machine: MachineHandle;
  let guest: Guest;

  before(async () => {
    const commandLine = await importDebian(cloud().client);
    machine = await cloud().client.machines.create({
      name: 'wanted-name',
      cpus: 2,
      memoryMiB: 768,
      boot: { kernel: 'debian', initrd: 'debian-init', commandLine },
      disks: [{ name: 'root', image: 'debian-disk', clone: 'linked' }],
      interfaces: [{ name: 'eth0', network: 'default' }],
      cloudInit: { userData, sshKeys: [key] },
    });
    guest = await Guest.attach(machine, debian);
    await guest.sh('until [ -e /run/cloud-init/result.json ]; do sleep 1; done', bootLimitMs);
  });

  it('finds what its machine was told on the disk that the machine has for it', async () => {
    const result = await guest.sh('cat /run/cloud-init/result.json');
    expect(JSON.parse(result)).to.nested.include({ 'v1.datasource': 'DataSourceNoCloud [seed=/dev/vdb][dsmode=net]' });
    expect(JSON.parse(result)).to.have.nested.property('v1.errors').that.deep.equals([]);
    expect(await guest.sh('cat /var/lib/cloud/data/instance-id')).to.equal(machine.id);
    expect(await guest.sh('cat /sys/block/vdb/ro /sys/block/vdb/serial')).to.equal('1\ncidata');
  });

  it('gives the guest its name, lets its owner in, and does what the user data say', async () => {
    expect(await guest.sh('hostname')).to.equal('wanted-name');
    expect(await guest.sh('cat /home/debian/.ssh/authorized_keys')).to.contain(key);
    expect(await guest.sh('cat /written')).to.equal('by cloud-init');
    expect(await guest.sh('cat /run-once')).to.equal('once');
  });
});
