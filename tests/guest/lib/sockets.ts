// SPDX-License-Identifier: Apache-2.0
// Programs of the host that speak with a guest by its socket device, and the program for the guest's side.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../../programs/vsock.c', import.meta.url));
const sector = 512;

/** What a guest types to get the program from its first disk. */
export const fetchProgram = 'cat /dev/vda > /tmp/vsock; chmod +x /tmp/vsock\n';

/** A disk that holds the program and nothing else. */
export function programDisk(folder: string): string {
  const file = join(folder, 'vsock');
  execFileSync('cc', ['-static', '-Os', '-Wall', '-Wextra', '-Werror', '-s', '-o', file, source]);
  const program = readFileSync(file);
  writeFileSync(file, Buffer.concat([program, Buffer.alloc(sector - (program.length % sector))]));
  return file;
}

/** A program of the host that said `line`. */
export class HostProgram {
  readonly #chunks: Buffer[] = [];
  readonly #ended: Promise<unknown>;

  private constructor(readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => this.#chunks.push(chunk));
    this.#ended = Promise.race([once(socket, 'end'), once(socket, 'close')]);
    socket.on('error', () => socket.destroy());
  }

  static async say(path: string, line: string): Promise<HostProgram> {
    const socket = createConnection({ path, allowHalfOpen: true });
    const program = new HostProgram(socket);
    // Goes out with the connection: a busy program must not be late.
    socket.write(`${line}\n`);
    await once(socket, 'connect');
    return program;
  }

  /** Sends these bytes and no more. */
  send(bytes: Buffer | string): this {
    this.socket.end(bytes);
    return this;
  }

  /** Everything that came until the other end sent no more, behind the answer to the line. */
  async rest(): Promise<Buffer> {
    await this.#ended;
    this.socket.destroy();
    const all = Buffer.concat(this.#chunks);
    const answer = /^OK \d+\n/.exec(all.subarray(0, 32).toString('latin1'))?.[0];
    if (answer === undefined) throw new Error(`No connection came about: ${JSON.stringify(all.toString('latin1'))}`);
    return all.subarray(answer.length);
  }

  /** Whether the connection was refused: it ended without an answer. */
  async refused(): Promise<boolean> {
    await this.#ended;
    this.socket.destroy();
    return this.#chunks.length === 0;
  }
}
