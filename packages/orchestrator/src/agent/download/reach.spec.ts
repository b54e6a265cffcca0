// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { mayReach, placeOf } from './reach.js';

describe('Where downloads lead', () => {
  it('is told by the address', () => {
    const places = {
      outside: ['1.1.1.1', '8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '::ffff:8.8.8.8'],
      inside: [
        '127.0.0.1',
        '10.1.2.3',
        '172.16.0.1',
        '192.168.0.1',
        '100.64.0.1',
        '::1',
        'fd12::1',
        '64:ff9b::a00:1',
        '2002:a00:1::',
        '::ffff:10.0.0.1',
      ],
      never: [
        '0.0.0.0',
        '169.254.169.254',
        '224.0.0.1',
        '255.255.255.255',
        '::',
        'fe80::1',
        'ff02::1',
        'fd00:ec2::254',
        '::ffff:a9fe:a9fe',
        'x',
        '',
      ],
    };
    for (const [place, addresses] of Object.entries(places))
      for (const address of addresses) expect(placeOf(address), address).to.equal(place);
  });

  it('is for named hosts alone where there are some, whatever their addresses', () => {
    const reach = { hosts: ['mirror.example.org', '*.example.net', '10.0.0.5'], inside: false };
    const may = (host: string, address: string) => mayReach(host, address, reach);
    expect(may('mirror.example.org', '10.0.0.1')).to.equal(true);
    expect(may('Mirror.Example.org', '10.0.0.1')).to.equal(true);
    expect(may('a.b.example.net', '8.8.8.8')).to.equal(true);
    expect(may('10.0.0.5', '10.0.0.5')).to.equal(true);
    for (const host of ['example.net', 'badexample.net', 'example.org', 'x.mirror.example.org', '10.0.0.6'])
      expect(may(host, '8.8.8.8'), host).to.equal(false);
  });
});
