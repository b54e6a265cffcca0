// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { reservation } from './dnsmasq.js';

const line = (hostname: string) => reservation({ mac: '02:f1:00:00:00:01', ip: '10.77.0.2', hostname });

describe('reservations of addresses', () => {
  it('name the machine', () => {
    for (const name of ['web', '1st', 'ignored', '3d-printer', 'm', '12x'])
      expect(line(name), name).to.equal(`02:f1:00:00:00:01,10.77.0.2,${name}\n`);
  });

  it('leave out names that mean something else to dnsmasq', () => {
    for (const name of ['ignore', 'infinite', '45', '1h', '120s', '2w']) expect(line(name), name).to.equal('02:f1:00:00:00:01,10.77.0.2\n');
  });
});
