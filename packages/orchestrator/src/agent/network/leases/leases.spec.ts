// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { LEASE_SECONDS, leasesOf } from './host-leases.js';
import { parseLeases } from './lease-file.js';

const NOW = Date.UTC(2030, 0, 1);
const at = (seconds: number) => Math.floor(NOW / 1000) + seconds;

describe('The lease file', () => {
  it('is read line by line', () => {
    const text = `${at(60)} 02:F1:00:00:00:01 10.77.0.2 web 01:02:f1:00:00:00:01\n0 02:f1:00:00:00:02 10.77.0.3 * *\n`;
    expect(parseLeases(text, NOW)).to.deep.equal([
      { mac: '02:f1:00:00:00:01', ip: '10.77.0.2', hostname: 'web', expiresAt: NOW + 60_000 },
      { mac: '02:f1:00:00:00:02', ip: '10.77.0.3', expiresAt: Date.UTC(9999, 0, 1) },
    ]);
  });

  it('may hold what a hostile guest made of its name, lines that are cut, and leases that ended', () => {
    const broken = [
      `${at(9)} 02:f1:00:00:00:01 10.77.0.2 ../../etc *`,
      `${at(9)} nonsense 10.77.0.2 x *`,
      `${at(9)} 02:f1:00:00:00:01 10.77.0.999 x *`,
      `${at(-1)} 02:f1:00:00:00:01 10.77.0.2 x *`,
      'duid 00:01',
      '',
      `${at(9)} 02:f1`,
    ];
    expect(parseLeases(broken.join('\n'), NOW)).to.deep.equal([{ mac: '02:f1:00:00:00:01', ip: '10.77.0.2', expiresAt: NOW + 9000 }]);
  });
});

describe('A lease', () => {
  const lease = (givenAt: number) => ({ mac: '02:f1:00:00:00:01', ip: '10.77.0.2', expiresAt: givenAt + LEASE_SECONDS * 1000 });
  const tap = { machine: 'mac-1', mac: '02:f1:00:00:00:01', network: 'net-1', since: NOW };

  it('is that of the machine whose tap has the address on that network', () => {
    expect(leasesOf('net-1', [lease(NOW + 5000)], [tap])).to.deep.equal([
      {
        networkId: 'net-1',
        machineId: 'mac-1',
        mac: tap.mac,
        ip: '10.77.0.2',
        expiresAt: new Date(NOW + 5000 + LEASE_SECONDS * 1000).toISOString(),
      },
    ]);
    expect(leasesOf('net-2', [lease(NOW + 5000)], [tap])).to.deep.equal([]);
    expect(leasesOf('net-1', [lease(NOW + 5000)], [])).to.deep.equal([]);
  });

  it('of the guest that ran before is not that of the one that runs now', () => {
    expect(leasesOf('net-1', [lease(NOW - 5000)], [tap])).to.deep.equal([]);
  });
});
