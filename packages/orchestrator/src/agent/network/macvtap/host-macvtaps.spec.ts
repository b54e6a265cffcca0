// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const PROBE = join(dirname(fileURLToPath(import.meta.url)), '../../../../test/support/macvtap-probe.js');

interface Link {
  index: number;
  name: string;
  told: unknown[];
}

describe('interfaces on a link of the host', function () {
  this.timeout(120_000);

  before(function () {
    if (process.getuid?.() !== 0 || spawnSync('unshare', ['--net', 'sh', '-c', SUPPORTED], { env: environment() }).status !== 0) {
      console.log('SKIPPED: macvtap links need root and a kernel that has them');
      this.skip();
    }
  });

  it('are made once, as asked for, found again after a crash, and go without a trace; others stay', () => {
    const result = spawnSync('unshare', ['--net', process.execPath, PROBE], { encoding: 'utf8', env: environment() });
    expect(result.stderr).to.equal('');
    const seen = JSON.parse(result.stdout) as Record<'made' | 'again' | 'changed', Link[]> & Record<string, unknown>;
    const told = (mode: string) => ['02:f1:00:00:00:01', 'flotilla:mac-1', 'up0', 'macvtap', mode, true];
    expect(seen.made.map((link) => link.told)).to.deep.equal([told('bridge')]);
    expect(seen.again).to.deep.equal(seen.made);
    expect(seen.changed.map((link) => link.told)).to.deep.equal([told('private')]);
    expect(seen.changed[0]?.index).to.not.equal(seen.made[0]?.index);
    expect(seen['refused']).to.deep.equal([
      ['macvtap.parent_refused', 'f'],
      ['macvtap.parent_missing', null],
    ]);
    expect(seen['foreign']).to.deep.equal(['host.command_failed', null]);
    expect(seen['kept']).to.deep.equal([]);
    expect(seen['removed']).to.have.length(3);
    expect(seen['left']).to.deep.equal([seen['taken']]);
  });
});

const SUPPORTED = 'ip link add up0 type dummy && ip link add link up0 name probe0 type macvtap mode bridge';

function environment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
}
