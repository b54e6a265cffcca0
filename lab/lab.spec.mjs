// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { Archive } from '../scripts/lib/cpio.mjs';
import { labEnvironment } from './lib/environment.mjs';
import { parseOptions } from './lib/options.mjs';
import { FrameReader, configPayload, frame } from './lib/wire.mjs';

describe('lab options', () => {
  it('takes everything after -- as the command', () => {
    const { command, timeout } = parseOptions(['--timeout', '5', '--', 'ls', '--memory', '1']);
    assert.deepEqual(command, ['ls', '--memory', '1']);
    assert.equal(timeout, 5);
  });

  it('ends its own options at the first plain word', () => {
    assert.deepEqual(parseOptions(['--cpus=4', 'sh', '-c', 'exit 3']).command, ['sh', '-c', 'exit 3']);
  });

  it('collects directories as absolute paths and variables with or without a value', () => {
    const options = parseOptions(['--writable', 'x', '--writable=/y', '--env', 'A=b=c', '--env', 'HOST', '--env', 'NONE', 'true'], {
      HOST: 'here',
    });
    assert.deepEqual(options.writable, [`${process.cwd()}/x`, '/y']);
    assert.deepEqual(options.env, { A: 'b=c', HOST: 'here' });
  });

  for (const argv of [
    [],
    ['--memory', '0', 'x'],
    ['--memory', '1e3', 'x'],
    ['--cpus', '65', 'x'],
    ['--timeout'],
    ['--nonsense', 'x'],
    ['--accel', 'xen', 'x'],
    ['--clock', 'sun', 'x'],
    ['--clock', 'instructions', '--accel', 'kvm', 'x'],
    ['--env', '=v', 'x'],
  ]) {
    it(`refuses ${JSON.stringify(argv)} with status 125`, () => {
      assert.throws(() => parseOptions(argv), { name: 'Failure', exitStatus: 125 });
    });
  }
});

describe('lab environment', () => {
  it('passes on who and how, never secrets, and always finds system programs', () => {
    const env = labEnvironment({ PATH: '/usr/bin:/opt/x', AWS_SECRET_ACCESS_KEY: 's', LC_ALL: 'C', FLOTILLA_X: '1' }, { MINE: 'yes' });
    assert.equal(env.AWS_SECRET_ACCESS_KEY, undefined);
    assert.deepEqual([env.LC_ALL, env.FLOTILLA_X, env.MINE, env.FLOTILLA_LAB], ['C', '1', 'yes', '1']);
    assert.match(env.PATH, /^\/usr\/bin:\/opt\/x:.*\/usr\/sbin/);
  });
});

describe('lab frames', () => {
  it('survive being cut anywhere', () => {
    const bytes = Buffer.concat([frame('O', Buffer.from('out')), frame('R'), frame('X', Buffer.from([7]))]);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const reader = new FrameReader();
      const frames = [...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut))];
      assert.deepEqual(
        frames.map(({ type, payload }) => `${type}${payload.toString('hex')}`),
        ['O6f7574', 'R', 'X07'],
      );
    }
  });

  it('refuse a length that the lab never sends', () => {
    assert.throws(() => new FrameReader().push(Buffer.from([0x4f, 0xff, 0xff, 0xff, 0xff])), /frame of 4294967295 bytes/);
  });

  it('refuse a NUL byte in the command', () => {
    assert.throws(() => configPayload([['arg', 'a\0b']]), TypeError);
  });
});

describe('cpio archive', () => {
  it('has aligned entries and a trailer', () => {
    const bytes = new Archive().directory('dev').character('dev/console', 5, 1).file('a', 'abc', 0o755).finish();
    assert.equal(bytes.length % 4, 0);
    const heads = [...bytes.toString('latin1').matchAll(/070701/g)].map(({ index }) => index);
    assert.equal(heads.length, 4);
    assert.ok(heads.every((index) => index % 4 === 0));
    assert.match(bytes.toString('latin1'), /TRAILER!!!\0/);
  });
});
