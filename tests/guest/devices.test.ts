// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Machine, openConsole, type ConsoleConnection } from '@flotilla/native';
import { expect } from 'chai';
import { type HostState, eventually, hostState } from './lib/host.js';
import { builtImages } from './lib/images.js';
import { Run } from './lib/run.js';
import { fetchProgram, HostProgram, programDisk } from './lib/sockets.js';
import { expectNothingLeft } from './lib/suite.js';

const MEBIBYTE = 1 << 20;

describe('Sockets between guest and host', () => {
  let folder: string;
  let disk: string;
  let held: HostState;

  before(() => {
    held = hostState();
    folder = mkdtempSync(join(tmpdir(), 'flotilla-sockets-'));
    disk = programDisk(folder);
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
    expectNothingLeft(held);
  });

  it('carry bytes both ways, whoever begins, as many connections as there are', () => bothWays([]));
  it('are the same for a micro machine', () => bothWays(['--profile', 'micro', '--acpi']));

  async function bothWays(flags: readonly string[]): Promise<void> {
    const path = join(folder, 'v');
    const server = await upperCaseServer(`${path}_52`);
    const guest = Run.start('', [...flags, '--vsock', `path=${path},cid=42`, '--disk', `path=${disk},format=raw,readonly`]);
    await guest.shows(/flotilla-init ready[\s\S]*# /);
    guest.type(fetchProgram);
    guest.type('/tmp/vsock echo 7 & echo "cid=$(/tmp/vsock cid)"\n');
    await guest.shows(/cid=42/);
    await guest.shows(/vsock: listening/);

    const much = randomBytes(MEBIBYTE);
    expect((await (await HostProgram.say(path, 'CONNECT 7')).send(much).rest()).equals(much)).to.equal(true);
    const little = Array.from({ length: 12 }, (_, index) => `connection ${index}`);
    const echoes = little.map(async (text) => (await (await HostProgram.say(path, 'CONNECT 7')).send(text).rest()).toString());
    expect(await Promise.all(echoes)).to.deep.equal(little);
    expect(await (await HostProgram.say(path, 'CONNECT 8')).refused()).to.equal(true);

    guest.type('echo from the guest | /tmp/vsock connect 52\n');
    await guest.shows(/FROM THE GUEST/);
    guest.type('echo | /tmp/vsock connect 53 || echo nobody is "there"\n');
    await guest.shows(/nobody is there/);

    guest.type('poweroff -f\n');
    const { status, said } = await guest.end();
    server.close();
    expect({ status, said }).to.deep.equal({ status: 0, said: '' });
    expect(existsSync(path)).to.equal(false);
  }

  it('work from inside the jail of a worker, whose guest reaches the programs that wait for it, and survive a pause', async () => {
    const path = join(folder, 'w');
    const { kernel, initramfs } = builtImages();
    const machine = await Machine.create({
      id: 'sockets',
      runtimeDirectory: folder,
      spec: {
        cpus: 1,
        memory: 128 * MEBIBYTE,
        boot: { kernel: { path: kernel.vmlinux }, initrd: { path: initramfs.initramfs }, commandLine: 'console=ttyS0 quiet' },
        disks: [{ id: 'program', source: { path: disk }, format: 'raw', readOnly: true }],
        vsock: { socket: { path } },
      },
    });
    try {
      await machine.boot();
      const guest = await Console.open(machine.consolePath);
      await guest.shows(/flotilla-init ready[\s\S]*# /);
      const waiting = await HostProgram.say(path, 'ACCEPT 60');
      await guest.type(fetchProgram);
      await guest.type('/tmp/vsock echo 7 & echo from the guest | /tmp/vsock connect 60\n');
      await guest.shows(/vsock: listening/);
      expect((await waiting.send('').rest()).toString()).to.equal('from the guest\n');

      const open = await HostProgram.say(path, 'CONNECT 7');
      await machine.pause();
      open.send('said in a pause');
      await machine.resume();
      expect((await open.rest()).toString()).to.equal('said in a pause');
      const metrics = await machine.metrics();
      expect(metrics['vsock.connections']).to.equal(2);
      expect(metrics['vsock.transport_resets']).to.equal(0);
      guest.close();
    } finally {
      await machine.kill();
      await machine.close();
    }
  });
});

/** Gives back in capitals what it gets. */
async function upperCaseServer(path: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('end', () => socket.end(Buffer.concat(chunks).toString().toUpperCase()));
  });
  await new Promise<void>((done) => server.listen(path, done));
  return server;
}

/** The console of a machine without an orchestrator. */
class Console {
  #output = '';

  private constructor(readonly connection: ConsoleConnection) {
    void this.collect();
  }

  static async open(path: string): Promise<Console> {
    return new Console(await openConsole({ path, offset: 0, write: true }));
  }

  private async collect(): Promise<void> {
    for await (const chunk of this.connection.data) this.#output += Buffer.from(chunk).toString('latin1');
  }

  type(text: string): Promise<void> {
    return this.connection.write(text);
  }

  shows(pattern: RegExp): Promise<void> {
    return eventually(`the guest writes ${pattern.source}`, 120_000, () => pattern.test(this.#output));
  }

  close(): void {
    this.connection.close();
  }
}
