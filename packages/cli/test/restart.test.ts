// SPDX-License-Identifier: Apache-2.0
// What watches while the orchestrator goes away: it goes on where it was, or ends with a status of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Event, Operation } from '@flotilla/sdk';
import { expect } from 'chai';
import { Cloud, end, eventually, shows } from './cloud.js';

const small = ['--kernel', 'kernel', '--memory', '64M', '--network', 'none'];

describe('A command that watches, when the orchestrator goes away', () => {
  const cloud = new Cloud();
  let server: ChildProcess;
  let address = '127.0.0.1:0';

  const start = async (): Promise<void> => {
    server = await cloud.up(['--import-root', cloud.folder, '--listen', address]);
    address = new URL(recorded().url).host;
  };
  const recorded = (): { pid: number; url: string } =>
    JSON.parse(readFileSync(join(cloud.folder, 'data/orchestrator.json'), 'utf8')) as { pid: number; url: string };
  /** As a power cut does; `flotilla up` then ends too. */
  const kill = async (): Promise<void> => {
    const ended = once(server, 'exit');
    process.kill(recorded().pid, 'SIGKILL');
    await ended;
  };
  /** All that a command has written so far. */
  const heard = (stream: NodeJS.ReadableStream | null): (() => string) => {
    let text = '';
    stream?.on('data', (chunk: Buffer) => {
      text += String(chunk);
    });
    return () => text;
  };
  const until = (ask: () => string, text: string): Promise<string> =>
    eventually(
      () => Promise.resolve(ask()),
      (all) => all.includes(text),
    );

  beforeEach(async () => {
    if (server.exitCode !== null || server.signalCode !== null) await start();
  });
  before(async () => {
    await start();
    await cloud.json('image', 'import', 'kernel', cloud.kernel, '--kind', 'kernel', '--format', 'elf');
    await cloud.json('machine', 'create', 'talker', ...small);
  });
  after(async () => {
    await end(server);
    await cloud.stop();
  });

  for (const [how, stop] of [
    ['stopped', () => end(server)],
    ['killed', kill],
  ] as const) {
    it(`machine console: attaches again when it was ${how}, and what is typed arrives`, async () => {
      const console = cloud.spawn(['machine', 'console', 'talker']);
      const [out, talk] = [heard(console.stdout), heard(console.stderr)];
      await until(talk, 'Connected to talker');
      await stop();
      await until(talk, 'The connection is lost. Trying again for 60 s');
      await start();
      await until(talk, 'Connected again.');
      console.stdin?.write('uname -a\n');
      await until(out, 'GNU/Linux');
      const ended = once(console, 'exit');
      console.stdin?.write('\u001d');
      expect(await ended).to.deep.equal([0, null]);
    });

    it(`event watch: goes on after the last event when it was ${how}, none twice and none missing`, async () => {
      const watch = cloud.spawn(['-o', 'json', 'event', 'watch', '--after', '0']);
      const out = heard(watch.stdout);
      await until(out, 'machine.created');
      await stop();
      await start();
      await cloud.json('machine', 'create', `after-${how}`, ...small, '--no-start');
      await until(out, `after-${how}`);
      const ids = out()
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as Event).id);
      expect(ids).to.deep.equal([...new Set(ids)].sort((a, b) => a - b));
      expect(await end(watch, 'SIGINT')).to.equal(0);
    });

    it(`operation watch: shows its end when it was ${how}`, async () => {
      const id = (
        await cloud.flotilla('machine', 'create', `slow-${how}`, ...small, '--cmdline', 'fake.boot_ms=3000', '--no-wait')
      ).stdout.trim();
      const watch = cloud.spawn(['-o', 'json', 'operation', 'watch', id]);
      const [out, talk] = [heard(watch.stdout), heard(watch.stderr)];
      const ended = once(watch, 'exit');
      await until(talk, 'machine.create');
      await stop();
      await start();
      expect(await ended, talk()).to.deep.equal([0, null]);
      expect(JSON.parse(out()) as Operation).to.include({ id, state: 'succeeded' });
    });
  }

  it('machine console: ends with the machine, and calls that no loss', async () => {
    await cloud.json('machine', 'create', 'brief', ...small);
    const console = cloud.spawn(['machine', 'console', 'brief']);
    const talk = heard(console.stderr);
    const ended = once(console, 'exit');
    await shows(console.stdout, '# ');
    console.stdin?.write('poweroff\n');
    expect(await ended).to.deep.equal([0, null]);
    expect(talk()).to.contain('Left the console of brief').and.not.to.contain('lost');
  });

  it('machine console: ^] leaves it also while nobody answers', async () => {
    const console = cloud.spawn(['machine', 'console', 'talker']);
    const talk = heard(console.stderr);
    await until(talk, 'Connected to talker');
    await end(server);
    await until(talk, 'lost');
    const ended = once(console, 'exit');
    console.stdin?.write('\u001d');
    expect(await ended).to.deep.equal([0, null]);
  });

  describe('for longer than FLOTILLA_PATIENCE', () => {
    const watchers = async (patience: string): Promise<Array<readonly [ChildProcess, () => string]>> => {
      const id = (
        await cloud.flotilla('machine', 'create', 'waiting', ...small, '--cmdline', 'fake.boot_ms=20000', '--no-wait')
      ).stdout.trim();
      const commands = [
        ['machine', 'console', 'talker'],
        ['event', 'watch', '--after', '0'],
        ['operation', 'watch', id],
      ];
      return Promise.all(
        commands.map(async (args) => {
          const child = cloud.spawn(args, { FLOTILLA_PATIENCE: patience });
          const [out, talk] = [heard(child.stdout), heard(child.stderr)];
          await eventually(
            () => Promise.resolve(out() + talk()),
            (all) => all !== '',
          );
          return [child, talk] as const;
        }),
      );
    };
    beforeEach(async () => {
      await cloud.flotilla('machine', 'delete', 'waiting', '--yes', '--force');
    });

    it('ends with 3 and the next thing to do', async () => {
      const all = await watchers('1');
      const ended = all.map(([child]) => once(child, 'exit'));
      await end(server);
      for (const [index, [, talk]] of all.entries()) {
        expect(await ended[index], talk()).to.deep.equal([3, null]);
        expect(talk())
          .to.match(/Cannot reach the orchestrator|did not come back within 1 s/)
          .and.to.match(/Next: /);
      }
    });

    it('tells no key to another user who listens there now', async function () {
      if (process.getuid?.() !== 0) {
        console.log('SKIPPED: another user is needed, whom only root can become');
        this.skip();
      }
      const all = await watchers('5');
      const ended = all.map(([child]) => once(child, 'exit'));
      await kill();
      const listener = `require('node:net').createServer((socket) => socket.on('data', (bytes) => process.stdout.write(bytes)).on('error', () => {}))
        .listen(${new URL(`http://${address}`).port}, '127.0.0.1', () => process.stderr.write('ready'))`;
      const stranger = spawn(process.execPath, ['-e', listener], { uid: 65_534, gid: 65_534, cwd: '/' });
      const told = heard(stranger.stdout);
      try {
        await shows(stranger.stderr, 'ready');
        for (const [index, [, talk]] of all.entries()) {
          expect(await ended[index], talk()).to.deep.equal([3, null]);
          expect(talk()).to.contain('connection.untrusted');
        }
        expect(told()).to.equal('');
      } finally {
        await end(stranger);
      }
    });
  });

  it('does not wait for one that was never there', async () => {
    await end(server);
    for (const args of [
      ['machine', 'console', 'talker'],
      ['event', 'watch'],
      ['operation', 'watch', 'op-1'],
    ]) {
      const began = Date.now();
      expect((await cloud.run(['--url', `http://${address}`, ...args])).status).to.equal(3);
      expect(Date.now() - began, 'its patience is a minute').to.be.below(60_000);
    }
  });

  it('refuses a patience that is no time', async () => {
    const { status, stderr } = await cloud.run(['event', 'watch'], { FLOTILLA_PATIENCE: 'long' });
    expect([status, stderr]).to.deep.equal([2, 'flotilla: FLOTILLA_PATIENCE is "long": give whole seconds, such as 60.\n']);
  });
});
