// SPDX-License-Identifier: Apache-2.0
// A console on a real terminal, which `script` (util-linux) makes: a pseudo terminal whose keyboard and screen are our pipes.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Cloud, eventually, shows } from './cloud.js';

const leave = '\u001d';

interface Terminal {
  readonly type: (keys: string) => void;
  readonly shows: (text: string) => Promise<string>;
  readonly ended: Promise<unknown>;
}

describe('A terminal on the console of a machine', function () {
  this.timeout(60_000);
  const cloud = new Cloud();
  const running = new Set<ChildProcess>();
  before(async () => {
    await cloud.start();
    await cloud.json('image', 'import', 'kernel', cloud.kernel, '--kind', 'kernel', '--format', 'elf');
    await cloud.json('machine', 'create', 'talker', '--kernel', 'kernel', '--memory', '64M', '--network', 'none', '--console');
  });
  after(async () => {
    for (const child of running) child.kill('SIGKILL');
    await cloud.stop();
  });

  /** The settings that matter: `-icanon` where a key arrives at once, `-isig` where ^C is a byte, `-echo` where nothing is echoed. */
  const settings = (): string[] => {
    const words = execFileSync('stty', ['-a', '-F', read('tty')], { encoding: 'utf8' }).split(/[\s;]+/);
    return words.filter((word) => /^-?(?:icanon|isig|echo)$/.test(word)).sort();
  };
  const read = (name: string): string => readFileSync(join(cloud.folder, name), 'utf8').trim();
  const raw = ['-echo', '-icanon', '-isig'];

  /** A shell on a terminal that attaches, and afterwards says with which status and how it found the terminal. */
  const attach = async (flags = ''): Promise<Terminal> => {
    const command = `flotilla machine console talker ${flags}`;
    const line = `tty > tty; stty -g > before; sh -c 'echo $$ > pid; exec ${command}'; echo $? > status; stty -g > after`;
    const env = { ...cloud.env, PATH: `${cloud.binFolder()}:${process.env['PATH']}`, SHELL: '/bin/sh' };
    const child = spawn('script', ['--quiet', '--command', line, '/dev/null'], {
      cwd: cloud.folder,
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    running.add(child);
    const ended = once(child, 'exit').then(() => running.delete(child));
    await shows(child.stdout, 'Connected to talker');
    await eventually(
      () => Promise.resolve(settings()),
      (now) => now.join() === raw.join(),
    );
    return { type: (keys) => child.stdin?.write(keys), shows: (text) => shows(child.stdout, text), ended };
  };
  const expectGivenBack = async (terminal: Terminal): Promise<void> => {
    await terminal.ended;
    expect(read('after')).to.equal(read('before'));
    expect(read('status')).to.equal('0');
  };

  it('hands every key to the guest at once, also ^C, and is as before when ^] has left', async () => {
    const terminal = await attach();
    terminal.type('uname -a\n');
    await terminal.shows('GNU/Linux');
    // In any other mode it would end what runs on the terminal.
    terminal.type('\u0003\nuname -a\n');
    await terminal.shows('GNU/Linux');
    expect(settings()).to.deep.equal(raw);
    terminal.type(leave);
    await expectGivenBack(terminal);
  });

  it('tells a port of the guest how large it is, when it comes and when that changes', async () => {
    const terminal = await attach('--port hvc0');
    const size = (rows: number, columns: number) =>
      execFileSync('stty', ['rows', String(rows), 'columns', String(columns), '-F', read('tty')]);
    for (const [rows, columns] of [
      [43, 132],
      [24, 80],
    ] as const) {
      size(rows, columns);
      // What the port was told comes back as its output.
      await terminal.shows(`[${rows} ${columns}]`);
    }
    terminal.type(leave);
    await expectGivenBack(terminal);
  });

  it('is as before when a signal has ended the command', async () => {
    const terminal = await attach();
    process.kill(Number(read('pid')), 'SIGTERM');
    await expectGivenBack(terminal);
  });

  it('is as before when the machine has ended', async () => {
    const terminal = await attach();
    await cloud.flotilla('machine', 'kill', 'talker');
    await expectGivenBack(terminal);
  });
});
