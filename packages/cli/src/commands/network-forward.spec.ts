// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { ports } from './network-forward.js';

describe('A forward on the command line', () => {
  it('is a protocol, an address if one is meant, and two ports', () => {
    expect(ports('tcp:8080:80')).to.deep.equal({ protocol: 'tcp', hostPort: 8080, guestPort: 80 });
    expect(ports('udp:192.0.2.1:53:5353')).to.deep.equal({ protocol: 'udp', hostAddress: '192.0.2.1', hostPort: 53, guestPort: 5353 });
    for (const text of ['', 'tcp', 'tcp:80', 'sctp:1:1', 'tcp:8080:80:', 'tcp:a:1:1', 'tcp:-1:1', 'tcp:[::1]:80:80', ' tcp:1:1'])
      expect(() => ports(text), text).to.throw('tcp:8080:80');
  });
});
