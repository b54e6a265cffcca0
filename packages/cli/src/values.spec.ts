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
    expect(toParams('web', { ...options, vsock: true }).vsock).to.deep.equal({});
    expect(toParams('web', { ...options, vsock: 'cid=42,connections=9' }).vsock).to.deep.equal({ cid: 42, maxConnections: 9 });
    expect(toParams('web', options)).to.not.have.property('vsock');
    expect(() => toParams('web', { ...options, vsock: 'port=1' })).to.throw('cid, connections');
  });
});
