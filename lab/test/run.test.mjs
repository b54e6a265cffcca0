// SPDX-License-Identifier: Apache-2.0
// The lab for real: a few starts, some seconds each. Needs root and QEMU; skips visibly without.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { prepareLabImage } from '../lib/image.mjs';
import { QEMU } from '../lib/qemu.mjs';
import { runInLab } from '../lib/run.mjs';

const BUILD_MS = 300_000;

/** Runs a command and collects what it wrote. */
async function lab(options) {
  const [output, errorOutput] = [new PassThrough(), new PassThrough()];
  const texts = [output, errorOutput].map(async (stream) => Buffer.concat(await stream.toArray()));
  try {
    const result = await runInLab({ timeout: 60, cwd: '/', ...options, output, errorOutput });
    return { ...result, texts: () => Promise.all(texts) };
  } finally {
    output.end();
    errorOutput.end();
  }
}

/** Helper processes whose parent we are, and our directories of sockets. */
function leftovers() {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const parent = Number(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ')[1]);
        return parent === process.pid && /qemu|virtiofsd/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
      } catch {
        return false;
      }
    });
  return [...children, ...readdirSync(tmpdir()).filter((name) => name.startsWith(`flotilla-lab-${process.pid}-`))];
}

describe('the lab', function () {
  this.timeout(120_000);
  let scratch;

  before(async function () {
    this.timeout(BUILD_MS);
    if (process.getuid?.() !== 0 || !existsSync(`/usr/bin/${QEMU}`)) {
      if (process.env.REQUIRE_KVM === '1') throw new Error('The lab needs root and QEMU');
      this.skip();
    }
    await prepareLabImage();
    scratch = mkdtempSync('/var/tmp/flotilla-lab-test-');
  });

  after(() => scratch && rmSync(scratch, { recursive: true, force: true }));

  afterEach(() => assert.deepEqual(leftovers(), []));

  it('interrupts an emulated processor now and then, also when nothing happens', async () => {
    const count = "awk '/virtio.*-/ { sum += $2 } END { print sum }' /proc/interrupts";
    const command = `first=$(${count}); while [ "$(${count})" -eq "$first" ]; do sleep 0.2; done; echo more`;
    const { status, texts } = await lab({ command: ['sh', '-c', command], timeout: 30, accelerator: 'tcg' });
    assert.deepEqual([status, (await texts())[0].toString()], [0, 'more\n']);
  });

  it('takes the same time for the same work when its clock counts instructions', async () => {
    const work = 'for ((i = 0; i < 20000; i++)); do :; done; echo $((${EPOCHREALTIME/./}));';
    const { status, texts } = await lab({ command: ['bash', '-c', `${work} ${work} ${work}`], clock: 'instructions' });
    assert.equal(status, 0);
    const [first, second, third] = (await texts())[0].toString().trim().split('\n').map(Number);
    const [once, again] = [second - first, third - second];
    assert.ok(once > 1000 && Math.abs(once - again) < once / 50, `${once} and ${again} µs`);
  });

  it('has a KVM that creates machines, keeps the streams apart and hands on the status', async () => {
    const probe =
      'import fcntl,os,sys; kvm=os.open("/dev/kvm",os.O_RDWR); vm=fcntl.ioctl(kvm,0xae01,0); print(fcntl.ioctl(kvm,0xae00,0)); sys.exit(7)';
    const { status, texts } = await lab({ command: ['sh', '-c', `echo apart >&2; exec python3 -c '${probe}'`] });
    const [output, errorOutput] = await texts();
    assert.deepEqual([status, output.toString(), errorOutput.toString()], [7, '12\n', 'apart\n']);
  });

  it('carries every byte in and out', async () => {
    const bytes = randomBytes(3_000_001);
    const { status, texts } = await lab({ command: ['cat'], stdin: 'pipe', input: Readable.from([bytes]) });
    const [output] = await texts();
    assert.equal(status, 0);
    assert.ok(output.equals(bytes));
  });

  it('keeps what is written below a writable directory, and only that', async () => {
    const command = ['sh', '-c', 'echo kept > $DIR/file; touch /var/tmp/flotilla-not-kept; (sleep 1000 &)'];
    const { status } = await lab({ command, writable: [scratch], env: { DIR: scratch } });
    assert.equal(status, 0);
    assert.equal(readFileSync(join(scratch, 'file'), 'utf8'), 'kept\n');
    assert.equal(existsSync('/var/tmp/flotilla-not-kept'), false);
  });

  it('says 127 for a command that is not there and 124 after the timeout', async () => {
    assert.equal((await lab({ command: ['no-such-program'] })).status, 127);
    assert.equal((await lab({ command: ['sleep', '1000'], timeout: 1 })).status, 124);
  });

  it('fails with a reason when the working directory is not there, and when its machine dies', async () => {
    await assert.rejects(lab({ command: ['true'], cwd: '/tmp/not/there' }), {
      exitStatus: 125,
      message: /Working directory \/tmp\/not\/there/,
    });
    await assert.rejects(lab({ command: ['sh', '-c', 'echo b > /proc/sysrq-trigger; sleep 60'] }), {
      exitStatus: 125,
      message: /machine ended/,
    });
  });

  it('ends at once when it is aborted', async () => {
    const control = new AbortController();
    const reason = new Error('enough');
    const running = lab({ command: ['sleep', '1000'], signal: control.signal, onStarted: () => control.abort(reason) });
    await assert.rejects(running, reason);
  });
});
