// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { exportText, nfsExport, nfsOptions } from './pool-nfs.js';

describe('What a pool on NFS is on, on the command line', () => {
  it('is a server and a path', () => {
    for (const text of ['nas:/srv/machines', '10.0.0.1:/', '[fe80::1]:/srv']) expect(exportText(nfsExport(text))).to.equal(text);
    expect(nfsExport('[fe80::1]:/srv')).to.deep.equal({ server: 'fe80::1', path: '/srv' });
    for (const text of ['nas', 'nas:srv', ':/srv', 'fe80::1:/srv', '/srv']) expect(() => nfsExport(text), text).to.throw('server:/path');
  });

  it('has the options that there are', () => {
    expect(nfsOptions('soft,timeo=50,retrans=2,nconnect=4')).to.deep.equal({ mode: 'soft', timeo: 50, retrans: 2, nconnect: 4 });
    for (const text of ['', 'hard,exec', 'timeo', 'timeo=', 'timeo=-1', 'timeo=1s', 'mode=soft'])
      expect(() => nfsOptions(text), text).to.throw('none of');
  });
});
