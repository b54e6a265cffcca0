// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';

import { ERROR_CODES, type ErrorCode, type HostReport, type Isolation } from '../src/index.js';
import { guest, lacks, makeGuests, packageEntry, scratch } from './support/host.js';

// Each case has a /dev of its own in a mount namespace of its own: that of the host, and its /dev/kvm, are not touched.
const PRIVATE_DEV = `set -e
mount -t tmpfs -o mode=755 flotilla-test "$DEV"
for name in null zero full random urandom tty; do touch "$DEV/$name"; mount --bind "/dev/$name" "$DEV/$name"; done
if [ "$KVM" = locked ]; then mknod -m 600 "$DEV/kvm" c 10 232; fi
mount --rbind "$DEV" /dev
exec "$@"`;
const NOBODY = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];

const CREATE = `const { Machine, checkHost } = await import(process.env.ENTRY);
const spec = { cpus: 1, memory: 16 << 20, boot: { kernel: { path: process.env.KERNEL } } };
const refused = await Machine.create({ id: 'm1', spec, runtimeDirectory: process.env.RUN, isolation: process.env.ISOLATION })
  .then((machine) => machine.kill().then(() => ({ code: 'none' })), ({ name, code, message, remedy }) => ({ name, code, message, remedy }));
process.stdout.write(JSON.stringify({ refused, kvm: (await checkHost()).checks.find((check) => check.id === 'kvm'), kind: (await checkHost()).kvm.kind }));`;

interface Told {
  refused: { name: string; code: string; message: string; remedy: string };
  kvm: HostReport['checks'][number];
  kind: string;
}

describe('A host whose /dev/kvm', function () {
  this.timeout(60_000);
  let folder: ReturnType<typeof scratch>;

  before(function () {
    makeGuests(this);
    if (process.getuid?.() !== 0) lacks(this, 'Mount namespaces need root');
  });
  beforeEach(() => {
    folder = scratch();
    chmodSync(folder.path, 0o777);
    for (const name of ['dev', 'run']) mkdirSync(join(folder.path, name));
    chmodSync(join(folder.path, 'run'), 0o777);
    copyFileSync(guest('hello'), join(folder.path, 'kernel'));
    writeFileSync(join(folder.path, 'create.mjs'), CREATE);
  });
  afterEach(() => folder.remove());

  for (const isolation of ['process', 'in-process'] satisfies Isolation[]) {
    it(`is not there refuses a machine with kvm.missing, isolation ${isolation}`, () => {
      refused(tell('absent', isolation, []), 'kvm.missing', /no|not/i);
    });

    it(`may not be opened refuses a machine with kvm.denied, isolation ${isolation}`, function () {
      const look = [...NOBODY.slice(1), process.execPath, '-e', 'require("fs").accessSync(process.argv[1])', packageEntry];
      const seen = spawnSync(NOBODY[0] ?? '', look, { encoding: 'utf8' });
      if (seen.status !== 0) lacks(this, `An unprivileged user cannot read this repository: ${seen.stderr}`);
      refused(tell('locked', isolation, NOBODY), 'kvm.denied', /permission|denied/i);
    });
  }

  /** What a process meets that asks for a machine in such a place. */
  function tell(kvm: 'absent' | 'locked', isolation: Isolation, as: string[]): Told {
    const path = (name: string): string => join(folder.path, name);
    const result = spawnSync('unshare', ['--mount', 'sh', '-c', PRIVATE_DEV, 'sh', ...as, process.execPath, path('create.mjs')], {
      encoding: 'utf8',
      env: {
        ...process.env,
        DEV: path('dev'),
        KVM: kvm,
        ENTRY: packageEntry,
        KERNEL: path('kernel'),
        RUN: path('run'),
        ISOLATION: isolation,
      },
    });
    expect(result.stderr).to.equal('');
    return JSON.parse(result.stdout) as Told;
  }

  function refused(told: Told, code: ErrorCode, message: RegExp): void {
    expect(told.refused).to.include({ name: 'FlotillaError', code });
    expect(told.refused.message).to.contain('/dev/kvm').and.to.match(message);
    expect(told.refused.remedy).to.equal(ERROR_CODES[code].remedy);
    expect(told.kind).to.equal('none');
    expect(told.kvm).to.include({ status: 'missing' });
    expect(told.kvm.remedy).to.be.a('string').that.is.not.equal('');
  }
});
