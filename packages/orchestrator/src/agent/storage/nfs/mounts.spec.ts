// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { pino } from 'pino';
import { CommandRunner, type CommandOptions, type CommandResult } from '../../runner/command-runner.js';
import { HostMounts } from './host-mounts.js';
import { mountedAt } from './mount-table.js';
import type { MountRefused } from './mounts.js';

const refusal = (attempt: Promise<unknown>) =>
  attempt.then(
    () => undefined,
    (error: unknown) => [(error as MountRefused).why, (error as MountRefused).said],
  );

describe('Mounts of the host', () => {
  it('are found by their place, the topmost first, however it is written', () => {
    const table = [
      '22 1 0:21 / / rw - ext4 /dev/vda1 rw',
      '39 22 0:34 / /data/mounts/poo-1 rw,nosuid shared:7 master:1 - nfs4 nas:/old rw,vers=4.2',
      '40 22 0:35 / /data/mounts/poo-1 rw,nosuid - nfs4 nas:/new\\040one rw,vers=4.2',
      '41 22 0:36 / /data\\040b/mounts/poo-2 rw - nfs4 [fe80::1]:/ rw',
      '',
    ].join('\n');
    expect(mountedAt(table, '/data/mounts/poo-1')?.source).to.equal('nas:/new one');
    expect(mountedAt(table, '/data b/mounts/poo-2')?.source).to.equal('[fe80::1]:/');
    expect(mountedAt(table, '/data/mounts/poo')).to.equal(undefined);
  });

  it('are this kernel’s', async () => {
    const mounts = new HostMounts(new CommandRunner(pino({ level: 'silent' })));
    expect((await mounts.find('/proc'))?.directory).to.equal('/proc');
    expect(await mounts.find(join(tmpdir(), 'none'))).to.equal(undefined);
  });

  describe('by programs', () => {
    let folder: string;
    let ran: string[][];
    let answer: Partial<CommandResult> | Error;
    let there: boolean[];
    const point = () => join(folder, 'point');
    const mounts = () => {
      const runner = {
        run: (program: string, args: string[], _options: CommandOptions) => {
          ran.push([program, ...args]);
          return answer instanceof Error ? Promise.reject(answer) : Promise.resolve({ status: 0, stdout: '', stderr: '', ...answer });
        },
      };
      const made = new HostMounts(runner as never);
      made.find = () => Promise.resolve((there.shift() ?? true) ? { source: 'nas:/srv', directory: point() } : undefined);
      return made;
    };

    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'flotilla-mounts-'));
      ran = [];
      answer = {};
      there = [];
    });
    afterEach(() => rmSync(folder, { recursive: true, force: true }));

    it('are made at a directory that is made for them', async () => {
      await mounts().mount({ source: 'nas:/srv', point: point(), options: ['vers=4.2', 'hard'] });
      expect(ran).to.deep.equal([['mount.nfs', 'nas:/srv', point(), '-n', '-o', 'vers=4.2,hard']]);
      expect(existsSync(point())).to.equal(true);
      answer = { status: 32, stderr: 'mount.nfs: a\nmount.nfs: access denied by server.\n' };
      expect(await refusal(mounts().mount({ source: 'x:/', point: point(), options: [] }))).to.deep.equal([
        'refused',
        'mount.nfs: access denied by server',
      ]);
    });

    it('go when everything is written, unless it is by force', async () => {
      mkdirSync(point());
      await mounts().unmount(point(), false);
      await mounts().unmount(point(), true);
      expect(ran).to.deep.equal([
        ['sync', '-f', point()],
        ['umount', '-i', '-c', point()],
        ['umount', '-i', '-c', '-f', '-l', point()],
      ]);
      expect(existsSync(point())).to.equal(false);
      ran = [];
      there = [false];
      await mounts().unmount(point(), false);
      expect(ran).to.deep.equal([]);
    });

    it('stay when something has files open, or the server does not answer', async () => {
      mkdirSync(point());
      answer = { status: 32, stderr: 'umount: target is busy.' };
      expect((await refusal(mounts().unmount(point(), true)))?.[0]).to.equal('busy');
      answer = new Error('late');
      expect((await refusal(mounts().unmount(point(), false)))?.[0]).to.equal('no-answer');
      expect([ran.at(-1)?.[0], existsSync(point())]).to.deep.equal(['sync', true]);
      there = [true, false]; // what is off its path is gone
      await mounts().unmount(point(), true);
      expect(existsSync(point())).to.equal(false);
    });

    it('say which program is missing', async () => {
      const runner = new CommandRunner(pino({ level: 'silent' }));
      const lacking = Object.assign(Object.create(runner) as CommandRunner, {
        run: (_program: string, args: string[], options: CommandOptions) => runner.run('flotilla-no-such-program', args, options),
      });
      const found = await refusal(new HostMounts(lacking).mount({ source: 'nas:/', point: point(), options: [] }));
      expect(found?.[0]).to.equal('missing-program');
    });
  });
});
