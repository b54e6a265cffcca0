// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { reservations } from './dnsmasq.js';

const line = (hostname: string) => reservations([{ mac: '02:f1:00:00:00:01', ip: '10.77.0.2', hostname }], []);

describe('reservations of addresses', () => {
  it('name the machine', () => {
    for (const name of ['web', '1st', 'ignored', '3d-printer', 'm', '12x'])
      expect(line(name), name).to.equal(`02:f1:00:00:00:01,10.77.0.2,${name}\n`);
  });

  it('name the MAC of a machine that is gone but has the address still, and of no other', () => {
    const wanted = [
      { mac: '02:f1:00:00:00:01', ip: '10.77.0.2', hostname: 'new' },
      { mac: '02:f1:00:00:00:02', ip: '10.77.0.3', hostname: 'moved' },
      { mac: '02:f1:00:00:00:03', ip: '10.77.0.4', hostname: 'old' },
    ];
    const lease = (mac: string, ip: string) => ({ mac, ip, expiresAt: 0 });
    const leases = [
      lease('02:f1:00:00:00:99', '10.77.0.2'),
      lease('02:f1:00:00:00:98', '10.77.0.5'),
      lease('02:f1:00:00:00:02', '10.77.0.4'),
      lease('02:f1:00:00:00:03', '10.77.0.4'),
    ];
    expect(reservations(wanted, leases)).to.equal(
      '02:f1:00:00:00:01,02:f1:00:00:00:99,10.77.0.2,new\n02:f1:00:00:00:02,10.77.0.3,moved\n02:f1:00:00:00:03,10.77.0.4,old\n',
    );
  });

  it('leave out names that mean something else to dnsmasq', () => {
    for (const name of ['ignore', 'infinite', '45', '1h', '120s', '2w']) expect(line(name), name).to.equal('02:f1:00:00:00:01,10.77.0.2\n');
  });
});
