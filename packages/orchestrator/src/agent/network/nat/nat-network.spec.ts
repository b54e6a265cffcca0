// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { tableName } from './ruleset.js';
import type { HostLease } from '../../../host-agent/host-agent.js';

const SUPPORT = join(dirname(fileURLToPath(import.meta.url)), '../../../../test/support');

interface Seen {
  links: string[];
  rules: string;
  dnsmasq: string;
}

describe('a NAT network', function () {
  this.timeout(40_000);

  before(function () {
    if (process.getuid?.() !== 0) {
      console.log('SKIPPED: namespaces and links need root');
      this.skip();
    }
  });

  it('is made once, found again after a crash, and goes without a trace', () => {
    const seen = inNamespace('nat-probe') as { tap: string; subnets: string[]; up: Seen; kept: string[]; removed: string[]; down: Seen };
    expect(seen.up.links).to.have.members(['flo-0', seen.tap]);
    expect(seen.up.rules).to.contain('table inet flotilla-default').and.contain('masquerade');
    expect(seen.up.rules.match(/chain input/g)).to.have.length(1);
    expect(seen.up.dnsmasq).to.equal('1');
    expect(seen.subnets).to.include('10.77.0.0/24');
    expect(seen.kept).to.deep.equal([]);
    expect(seen.removed).to.have.length(2);
    expect(seen.down).to.deep.equal({ links: [], rules: '', dnsmasq: '0' });
  });

  it('shows a lease when a real DHCP client has taken the address, and no longer than its guest runs', () => {
    const seen = inNamespace('lease-probe') as Record<'reserved' | 'taken' | 'adopted' | 'stopped' | 'startedAgain', HostLease[]> & {
      file: string;
    };
    expect(seen.reserved, 'a reservation is no lease').to.deep.equal([]);
    expect(seen.taken).to.have.length(1);
    expect(seen.taken[0]).to.include({ networkId: 'net-probe', machineId: 'mac-probe', mac: '02:f1:00:00:00:01', ip: '10.77.0.2' });
    expect(Date.parse(seen.taken[0]?.expiresAt ?? '') - Date.now()).to.be.within(3_500_000, 3_600_000);
    expect(seen.adopted, 'found again after a crash').to.deep.equal(seen.taken);
    expect(seen.stopped, 'the guest is gone').to.deep.equal([]);
    expect(seen.startedAgain, 'the next guest has not asked yet').to.deep.equal([]);
    expect(seen.file, 'given back').to.equal('');
  });

  it('is made whole again by the reconciler, whatever the host has lost of it, and left alone when nothing is missing', () => {
    interface Look {
      rules: string;
      bridge: boolean;
      master: string;
      names: string[];
    }
    const seen = inNamespace('nat-mend-probe') as Record<'first' | 'broken' | 'mended' | 'refilled' | 'alone' | 'unused', Look> & {
      untouched: boolean;
    };
    expect(seen.first).to.include({ bridge: true, master: 'flo-0' });
    expect(seen.first.names).to.deep.equal(['10.77.0.2', '10.77.0.3']);
    expect(seen.first.rules).to.contain('masquerade');
    expect(seen.untouched, 'nothing was missing').to.equal(true);
    expect(seen.broken).to.deep.equal({ rules: '', bridge: false, master: '', names: ['none', 'none'] });
    expect(seen.mended, 'rules flushed, bridge deleted, dnsmasq killed').to.deep.equal(seen.first);
    expect(seen.refilled, 'a chain flushed').to.deep.equal(seen.first);
    expect(seen.alone, 'a machine is gone').to.deep.equal({ ...seen.first, names: ['10.77.0.2', 'none'] });
    expect(seen.unused, 'nobody uses it').to.deep.equal({ rules: '', bridge: false, master: '', names: ['none', 'none'] });
  });

  it('lets guests out under the address of the host, and nobody in; of the host they reach no more than they need', () => {
    expect(inNamespace('nat-cross-probe')).to.deep.equal({
      outward: { ping: 'answered', tcp: '192.0.2.1' },
      host: { ping: 'answered', gateway: 'timeout', otherAddress: 'timeout', fromOutside: '192.0.2.2' },
      metadata: { fromHost: '192.0.2.1', fromGuest: 'timeout' },
      inbound: { fromHost: '10.77.0.1', fromOutside: 'timeout' },
    });
  });

  it('lets through what its kind says, tells machines what they need, and touches nothing that others have', () => {
    expect(inNamespace('kinds-probe')).to.deep.equal({
      answers: {
        outward: { nat: 'answered', isolated: 'lost', routed: 'answered' },
        inward: { nat: 'lost', isolated: 'lost', routed: 'answered' },
        host: { nat: 'answered', isolated: 'lost', other: 'lost' },
        metadata: { nat: 'lost', routed: 'lost' },
        across: { natToIsolated: 'lost', isolatedToNat: 'lost', routedToNat: 'lost' },
        within: { isolated: 'answered' },
        forged: { routed: 'lost' },
      },
      names: { own: '10.90.2.3', others: 'none', elsewhere: 'none', withNat: '10.90.1.2' },
      leases: {
        isolated: ['ip=10.90.2.3', 'router=', 'mtu=1400', 'domain=n2.test', 'mask=28'],
        routed: ['ip=10.90.3.2', 'router=10.90.3.1', 'mtu=', 'domain=n3.test', 'mask=28'],
      },
      mtus: [1400],
      changed: { name: '10.90.2.3', mtu: 1300 },
      refused: ['network.place_taken', 'network.place_taken'],
      left: { tables: [`table inet ${tableName({ id: 'net-4', name: 'n4' })}`, 'table inet other'], bridges: ['br-other', 'flo-00000005'] },
      untouched: { held: true, after: true },
    });
  });

  it('leads ports of the host to its machines for whoever reaches the host, and nothing else', () => {
    expect(inNamespace('forwards-probe')).to.deep.equal({
      reached: {
        any: '192.0.2.2',
        udp: '192.0.2.2',
        one: '192.0.2.2',
        notThatAddress: 'ECONNREFUSED',
        notThatPort: 'ECONNREFUSED',
        fromHost: '192.0.2.1',
        loopback: 'ECONNREFUSED',
        past: 'timeout',
        isolated: 'timeout',
        own: 'timeout',
      },
      fewer: { gone: 'ECONNREFUSED', kept: '192.0.2.2' },
      none: { gone: 'ECONNREFUSED', rules: false },
    });
  });

  it('lets machines send from their own addresses alone, and keeps them from each other, where that is asked for', () => {
    expect(inNamespace('guard-probe')).to.deep.equal({
      honest: { lease: 'got 10.77.0.4', neighbour: 'answered', host: 'answered', v6: 'answered', outward: 'answered' },
      spoofed: { ip: 'lost', otherMachine: 'lost', mac: 'lost', both: 'lost', arp: 'not believed', again: 'answered' },
      isolated: { neighbour: 'lost', byHost: 'lost', host: 'answered' },
      open: { neighbour: 'answered', ip: 'answered', arp: 'believed', tables: ['inet'] },
      mended: { neighbour: 'lost', tables: ['bridge', 'inet'] },
      removed: [],
    });
  });

  it('puts machines on a bridge of the host that was named for them, and leaves it as it was', () => {
    expect(inNamespace('bridge-probe')).to.deep.equal({
      refused: ['network.bridge_missing', 'network.bridge_missing', 'network.bridge_refused'],
      mtu: 1400,
      answer: 'answered',
      mended: 'answered',
      unnamed: 'network.bridge_refused',
      kept: true,
      untouched: true,
    });
  });

  it('leaves IPv4 forwarding as it was found', () => {
    expect(inNamespace('forwarding-probe')).to.deep.equal({
      on: { forward: '1', noted: true },
      oneLeft: { forward: '1', noted: true },
      restored: { forward: '0', noted: false },
      anothers: { forward: '1', noted: false },
      afterCrash: { forward: '0', noted: false },
      afterReboot: { forward: '1', noted: false },
    });
  });
});

/** What a probe tells that runs where no link, rule, setting or process of the host is; whatever it leaves ends with it. */
function inNamespace(probe: string): unknown {
  const result = spawnSync(
    'unshare',
    [
      '--net',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      'sh',
      '-c',
      'ip link set lo up && exec "$@"',
      'sh',
      process.execPath,
      join(SUPPORT, `${probe}.js`),
    ],
    { encoding: 'utf8', env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` } },
  );
  expect(result.stderr).to.equal('');
  return JSON.parse(result.stdout) as unknown;
}
