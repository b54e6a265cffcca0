// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const PROBE = join(dirname(fileURLToPath(import.meta.url)), '../../../../test/support/nat-probe.js');

interface Seen { links: string[]; rules: string; dnsmasq: string }

describe('a NAT network', () => {
  it('is made once, found again after a crash, and goes without a trace', function () {
    this.timeout(20_000);
    const result = spawnSync('unshare', ['--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', process.execPath, PROBE], { encoding: 'utf8', env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` } });
    if (process.getuid?.() !== 0) this.skip(); // namespaces and links need root
    expect(result.stderr).to.equal('');
    const seen = JSON.parse(result.stdout) as { tap: string; subnets: string[]; up: Seen; kept: string[]; removed: string[]; down: Seen };
    expect(seen.up.links).to.have.members(['flo-0', seen.tap]);
    expect(seen.up.rules).to.contain('table inet flotilla-default').and.contain('masquerade');
    expect(seen.up.rules.match(/chain input/g)).to.have.length(1);
    expect(seen.up.dnsmasq).to.equal('1');
    expect(seen.subnets).to.include('10.77.0.0/24');
    expect(seen.kept).to.deep.equal([]);
    expect(seen.removed).to.have.length(2);
    expect(seen.down).to.deep.equal({ links: [], rules: '', dnsmasq: '0' });
  });
});
