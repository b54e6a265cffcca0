// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { NFS_PATH, NFS_SERVER, nfsMountOptions, nfsSource } from './nfs.js';

describe('A pool on NFS', () => {
  it('takes servers and paths that cannot be mistaken for anything else', () => {
    for (const server of ['nas', 'nas-1.example', '10.0.0.1', 'fe80::1', '::1', '2001:db8::a', 'a']) expect(server).to.match(NFS_SERVER);
    for (const server of ['', '-o', 'a b', 'a:/b', 'a/b', '.', 'a,exec', 'x'.repeat(254), 'nas\n', '[::1]', 'ex:am'])
      expect(server).not.to.match(NFS_SERVER);
    for (const path of ['/', '/srv', '/srv/a b', '/srv/...']) expect(path).to.match(NFS_PATH);
    for (const path of ['', 'srv', '/srv/', '//', '/srv/..', '/./srv', '/srv/../etc', '/srv\n', '/srv\0'])
      expect(path).not.to.match(NFS_PATH);
  });

  it('is mounted by what was asked for, and without rights on the host', () => {
    expect(nfsSource({ server: 'nas', path: '/srv' })).to.equal('nas:/srv');
    expect(nfsSource({ server: 'fe80::1', path: '/' })).to.equal('[fe80::1]:/');
    const always = ['sec=sys', 'proto=tcp', 'retry=0', 'nosuid', 'nodev', 'noexec'];
    expect(nfsMountOptions({ server: 'nas', path: '/srv' })).to.deep.equal(['vers=4.2', 'hard', ...always]);
    const options = { mode: 'soft', timeo: 50, retrans: 2, nconnect: 4 } as const;
    expect(nfsMountOptions({ server: 'nas', path: '/srv', version: '4.1', options })).to.deep.equal([
      ...['vers=4.1', 'soft', 'timeo=50', 'retrans=2', 'nconnect=4'],
      ...always,
    ]);
  });
});
