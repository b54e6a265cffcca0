// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { toParams } from './commands/machine-create.js';
import { keyValues, mebibytes } from './values.js';

describe('Option values', () => {
  it('read sizes in MiB', () => {
    expect([mebibytes('512'), mebibytes('512M'), mebibytes('2G'), mebibytes('2GiB'), mebibytes('2048K')]).to.deep.equal([
      512, 512, 2048, 2048, 2,
    ]);
  });

  for (const wrong of ['', '0', '-1', '1.5G', '1K', 'lots']) {
    it(`refuse the size "${wrong}"`, () => expect(() => mebibytes(wrong)).to.throw('Give a size'));
  }

  it('refuse an unknown key and name the known ones', () => {
    expect(() => keyValues('imag=debian', ['image', 'size'])).to.throw('use image, size');
  });

  it('become the request they mean', () => {
    const options = {
      kernel: 'linux',
      cpus: 2,
      memory: 512,
      disk: ['image=debian,size=4G', 'size=1G,readonly'],
      network: ['none'],
      start: true,
      wait: true,
    };
    expect(toParams('web', options)).to.deep.equal({
      name: 'web',
      cpus: 2,
      memoryMiB: 512,
      boot: { kernel: 'linux' },
      disks: [
        { name: 'root', image: 'debian', sizeMiB: 4096 },
        { name: 'disk1', sizeMiB: 1024, readOnly: true },
      ],
      interfaces: [],
      start: true,
    });
  });

  it('share folders of the host', () => {
    const options = { kernel: 'linux', cpus: 1, memory: 64, start: true, wait: true };
    const share = ['tag=a,path=/srv/a', 'path=/srv/b,tag=b,readonly'];
    expect(toParams('web', { ...options, share }).shares).to.deep.equal([
      { tag: 'a', path: '/srv/a' },
      { tag: 'b', path: '/srv/b', readOnly: true },
    ]);
    expect(() => toParams('web', { ...options, share: ['tag=a,cache=none'] })).to.throw('use tag, path, readonly');
  });

  it('say of an interface how its frames move', () => {
    const options = { kernel: 'linux', cpus: 1, memory: 64, start: true, wait: true };
    const network = ['default', 'lan,queues=4,backend=vhost,mtu=9000,link=down', 'lan,spoof=off'];
    expect(toParams('web', { ...options, network }).interfaces).to.deep.equal([
      { name: 'eth0', network: 'default' },
      { name: 'eth1', network: 'lan', backend: 'vhost', queues: 4, mtu: 9000, link: 'down' },
      { name: 'eth2', network: 'lan', allowSpoofedMac: false },
    ]);
    for (const wrong of ['lan,backend=macvtap', 'lan,queues=many', 'lan,link=sideways', 'lan,spoof=maybe', 'lan,speed=10'])
      expect(() => toParams('web', { ...options, network: [wrong] }), wrong).to.throw(/Give|queues|number/);
  });

  it('put an interface on a link of the host', () => {
    const options = { kernel: 'linux', cpus: 1, memory: 64, start: true, wait: true };
    const network = ['macvtap=eth1', 'macvtap=eth1.7,mode=private,queues=2'];
    expect(toParams('web', { ...options, network }).interfaces).to.deep.equal([
      { name: 'eth0', macvtap: { parent: 'eth1' } },
      { name: 'eth1', macvtap: { parent: 'eth1.7', mode: 'private' }, queues: 2 },
    ]);
    for (const wrong of ['macvtap=', 'macvtap=eth1,mode=passthru', 'lan,mode=bridge', 'macvtap=eth1,forward=tcp:1:1'])
      expect(() => toParams('web', { ...options, network: [wrong] }), wrong).to.throw(/Give|Unknown/);
  });

  it('give an interface user-mode networking with forwards', () => {
    const options = { kernel: 'linux', cpus: 1, memory: 64, start: true, wait: true };
    const network = ['user', 'user,forward=tcp:8080:80,mtu=1400,forward=udp:[::1]:53:5353,forward=tcp:192.0.2.1:443:443'];
    expect(toParams('web', { ...options, network }).interfaces).to.deep.equal([
      { name: 'eth0', user: { forwards: [] } },
      {
        name: 'eth1',
        user: {
          forwards: [
            { protocol: 'tcp', hostPort: 8080, guestPort: 80 },
            { protocol: 'udp', hostAddress: '::1', hostPort: 53, guestPort: 5353 },
            { protocol: 'tcp', hostAddress: '192.0.2.1', hostPort: 443, guestPort: 443 },
          ],
        },
        mtu: 1400,
      },
    ]);
    for (const wrong of [
      'user,forward=8080',
      'user,forward=tcp:8080',
      'user,forward=sctp:1:1',
      'user,forward=tcp:::1:1:1',
      'lan,forward=tcp:1:1',
    ])
      expect(() => toParams('web', { ...options, network: [wrong] }), wrong).to.throw(/Give|Unknown/);
  });

  it('of a disk are refused when they are not what they can be', () => {
    const options = { kernel: 'linux', cpus: 1, memory: 64, network: ['none'], start: true, wait: true };
    const disk = (text: string) => toParams('web', { ...options, disk: [text] }).disks?.[0];
    expect(disk('size=1G,blocksize=512,readonly')).to.include({ blockSize: 512, readOnly: true });
    expect(disk('size=1G,readonly=false')).to.include({ readOnly: false });
    for (const wrong of ['size=1G,readonly=yes', 'size=1G,blocksize=1024', 'size=1G,cache=unsafe'])
      expect(() => disk(wrong), wrong).to.throw('one of');
  });

  it('ask for sockets with and without numbers', () => {
    const options = { kernel: 'linux', cpus: 1, memory: 64, network: ['none'], start: true, wait: true };
    expect(toParams('web', { ...options, console: true }).console).to.deep.equal({});
    expect(toParams('web', { ...options, port: ['a', 'b.0'] }).console).to.deep.equal({ ports: [{ name: 'a' }, { name: 'b.0' }] });
    expect(toParams('web', options)).to.not.have.property('console');
    expect(toParams('web', { ...options, vsock: true }).vsock).to.deep.equal({});
    expect(toParams('web', { ...options, vsock: 'cid=42,connections=9' }).vsock).to.deep.equal({ cid: 42, maxConnections: 9 });
    expect(toParams('web', options)).to.not.have.property('vsock');
    expect(() => toParams('web', { ...options, vsock: 'port=1' })).to.throw('cid, connections');
  });

  it('ask for a watchdog, with what follows', () => {
    const options = { kernel: 'linux', cpus: 1, memory: 64, network: ['none'], start: true, wait: true };
    expect(toParams('web', { ...options, watchdog: true }).watchdog).to.deep.equal({});
    expect(toParams('web', { ...options, watchdog: 'action=pause' }).watchdog).to.deep.equal({ action: 'pause' });
    expect(toParams('web', options)).to.not.have.property('watchdog');
    for (const wrong of ['', 'pause', 'action=bark', 'timeout=3'])
      expect(() => toParams('web', { ...options, watchdog: wrong }), wrong).to.throw();
  });

  it('ask for a balloon with a size and switches', () => {
    const options = { kernel: 'linux', cpus: 1, memory: 64, network: ['none'], start: true, wait: true };
    const balloon = (text: string) => toParams('web', { ...options, balloon: text }).balloon;
    expect(toParams('web', { ...options, balloon: true }).balloon).to.deep.equal({});
    expect(balloon('target=32M,oom=off,reporting=on,hinting=on,statistics=5')).to.deep.equal({
      targetMiB: 32,
      deflateOnOom: false,
      freePageReporting: true,
      freePageHinting: true,
      statisticsSeconds: 5,
    });
    expect(balloon('target=0')).to.deep.equal({ targetMiB: 0 });
    for (const wrong of ['size=1M', 'oom=maybe', 'hinting=yes', 'target=much']) expect(() => balloon(wrong), wrong).to.throw();
  });
});
