// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { HypervisorSpec } from '../../src/agent/hypervisor/hypervisor.js';
import { requireDocumented } from './contract.js';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), '../../main.js');
const START_MILLISECONDS = 60_000;

/** What an answer is looked at for; bodies are checked by the tests themselves. */
export interface Answer {
  status: number;
  headers: Headers;
  body: Body;
}
export type Body = { [key: string]: Body } & { toString(): string } & Iterable<Body> & string & number;

export interface CallOptions {
  body?: unknown;
  key?: string | null;
  headers?: Record<string, string>;
  raw?: string;
}

/** An orchestrator as a process of its own, on the fake hypervisor, driven over HTTP. */
export class Orchestrator {
  readonly directory = mkdtempSync(join(tmpdir(), 'flotilla-test-'));
  url = '';
  /** Program and arguments that start each process, as `unshare` does: for a host that is not like this one. */
  through: readonly string[] = [];
  private child: ChildProcess | undefined;
  private agent: ChildProcess | undefined;
  private errors = '';

  constructor(
    private readonly databaseUrl?: string | undefined,
    private readonly split = false,
  ) {}

  get key(): string {
    return readFileSync(join(this.directory, 'data/admin.key'), 'utf8').trim();
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  /** Everything the process wrote on stderr. */
  get log(): string {
    return this.errors;
  }

  async start(environment: Record<string, string> = {}, more: string[] = []): Promise<this> {
    if (this.split && this.agent === undefined) this.agent = await this.launch(['--role', 'agent'], environment);
    this.child = await this.launch([...(this.split ? ['--role', 'api'] : []), ...more], environment);
    return this;
  }

  /** Starts the api role while there is no agent yet. */
  async startWithoutAgent(environment: Record<string, string> = {}): Promise<this> {
    this.child = await this.launch(['--role', 'api'], environment);
    return this;
  }

  /** Starts the agent role alone. */
  async startAgent(): Promise<void> {
    this.agent = await this.launch(['--role', 'agent'], {});
  }

  /** Starts a process that is expected to end by itself, or by `signal` as soon as it has its lock; answers its exit status and stderr. */
  async expectExit(
    environment: Record<string, string> = {},
    signal?: NodeJS.Signals,
    args: string[] = [],
  ): Promise<{ status: number | null; errors: string }> {
    const child = this.spawn(args, environment);
    let errors = '';
    child.stderr?.on('data', (text: Buffer) => {
      errors += text.toString();
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    if (signal !== undefined) {
      await this.waitFor('lock', () => Promise.resolve(existsSync(join(this.directory, 'data/orchestrator.lock'))));
      child.kill(signal);
    }
    return { status: await ended, errors };
  }

  /** Ends the agent role alone. */
  async stopAgent(): Promise<void> {
    await end(this.agent, 'SIGTERM');
    this.agent = undefined;
  }

  /** The agent role dies as by `kill -9`. */
  async killAgentHard(): Promise<void> {
    await end(this.agent, 'SIGKILL');
    this.agent = undefined;
  }

  async stop(): Promise<number | null> {
    const status = await end(this.child, 'SIGTERM');
    this.child = undefined;
    return status;
  }

  async killHard(): Promise<void> {
    await end(this.child, 'SIGKILL');
    this.child = undefined;
  }

  /** Waits until a fault point has ended the process. */
  async died(): Promise<void> {
    const { child } = this;
    if (child !== undefined && child.exitCode === null && child.signalCode === null)
      await new Promise((resolve) => child.once('exit', resolve));
    this.child = undefined;
  }

  /** Ends everything and removes the directory. */
  async dispose(): Promise<void> {
    await this.stop();
    await end(this.agent, 'SIGTERM');
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Sends a request; fails when the API document does not have the answer. */
  async call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
    const text = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        connection: 'close', // one that is kept is closed by the server after a while, and a slow client may just be writing to it
        ...(options.key === null ? {} : { authorization: `Bearer ${options.key ?? this.key}` }),
        ...(text === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
      ...(text === undefined ? {} : { body: text }),
    });
    const answer = await response.text();
    const type = response.headers.get('content-type');
    const body = (type?.includes('json') === true && answer !== '' ? JSON.parse(answer) : answer) as Body;
    requireDocumented(method, path, { status: response.status, type, body });
    return { status: response.status, headers: response.headers, body };
  }

  /** A change that is waited for; fails with its problem when it does not succeed. */
  async change(method: string, path: string, body?: unknown): Promise<Body> {
    const answer = await this.call(method, path, { ...(body === undefined ? {} : { body }), headers: { prefer: 'wait=60' } });
    if (answer.status >= 300 || answer.body['state'] !== 'succeeded')
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  }

  /** Imports the kernel `k` and the disk `d` that the tests boot from. */
  async importImages(): Promise<void> {
    const kernel = join(this.directory, 'kernel');
    const disk = join(this.directory, 'disk');
    writeFileSync(kernel, elf());
    writeFileSync(disk, Buffer.alloc(64 * 1024, 7));
    await this.change('POST', '/v1/images', { name: 'k', kind: 'kernel', format: 'elf', source: { path: kernel } });
    await this.change('POST', '/v1/images', { name: 'd', kind: 'disk', format: 'raw', source: { path: disk } });
  }

  /** What is on the host beside the two images: workers, taps, networks, volumes, consoles, half-made files. */
  leftovers(): string[] {
    const host = join(this.directory, 'data/host');
    const fake = join(this.directory, 'run/fake');
    const images = list(join(host, 'pools/default/images')).filter((name) => name.includes('.'));
    return [
      ...images,
      ...['machines', 'taps', 'macvtaps', 'networks'].flatMap((name) => list(join(fake, name)).map((one) => `${name}/${one}`)),
      ...list(join(host, 'pools/default/volumes')),
      ...list(join(host, 'consoles')),
      ...this.setAside(),
    ];
  }

  /** Files of images and volumes that no resource owned and that were not deleted for it. */
  setAside(): string[] {
    const directory = join(this.directory, 'data/host/pools/default/set-aside');
    if (!existsSync(directory)) return [];
    const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  }

  /** Ids of the fake workers that live. */
  workers(): string[] {
    return list(join(this.directory, 'run/fake/machines')).map((name) => name.replace('.json', ''));
  }

  /** What the host was told of a fake guest that lives. */
  guest(id: string): { spec: HypervisorSpec } {
    return JSON.parse(readFileSync(join(this.directory, `run/fake/machines/${id}.json`), 'utf8')) as { spec: HypervisorSpec };
  }

  async waitFor<T>(what: string, look: () => Promise<T | undefined | false>, milliseconds = 120_000): Promise<T> {
    for (const deadline = Date.now() + milliseconds; ; ) {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      if (Date.now() > deadline) throw new Error(`Waited in vain: ${what}\n${this.errors}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  private async launch(args: string[], environment: Record<string, string>): Promise<ChildProcess> {
    const child = this.spawn(args, environment);
    child.stderr?.on('data', (text: Buffer) => {
      this.errors += text.toString();
    });
    const url = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`No start in time\n${this.errors}`)), START_MILLISECONDS);
      let output = '';
      child.stdout?.on('data', (text: Buffer) => {
        output += text.toString();
        const found = /listening on (\S+)\n/.exec(output)?.[1];
        if (found === undefined) return;
        clearTimeout(timer);
        resolve(found);
      });
      child.once('exit', (status, signal) => {
        clearTimeout(timer);
        reject(new Error(`Ended at start: ${status ?? signal}\n${this.errors}`));
      });
    });
    if (url.startsWith('http')) this.url = url;
    return child;
  }

  private spawn(args: string[], environment: Record<string, string>): ChildProcess {
    const [program = process.execPath, ...rest] = [...this.through, process.execPath, MAIN, ...args];
    return spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env['PATH'],
        NODE_ENV: 'test',
        FLOTILLA_DATA_DIR: join(this.directory, 'data'),
        FLOTILLA_RUNTIME_DIR: join(this.directory, 'run'),
        FLOTILLA_LISTEN: '127.0.0.1:0',
        FLOTILLA_HYPERVISOR: 'fake',
        FLOTILLA_LOG: 'warn',
        // The machines of the fake take no memory, and some tests make many.
        FLOTILLA_MEMORY_OVERCOMMIT: 'allow',
        FLOTILLA_RECONCILE_MS: '500',
        ...(this.databaseUrl === undefined ? {} : { FLOTILLA_DATABASE_URL: this.databaseUrl }),
        ...environment,
      },
    });
  }
}

/** Body of a machine that boots on the fake. */
export function machine(name: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    name,
    cpus: 1,
    memoryMiB: 64,
    boot: { kernel: 'k' },
    disks: [{ name: 'root', image: 'd' }],
    interfaces: [{ name: 'eth0' }],
    ...more,
  };
}

/** A file with the header of a 64-bit x86 ELF. */
export function elf(): Buffer {
  const header = Buffer.alloc(4096);
  header.writeUInt32LE(0x464c457f, 0);
  header.set([2, 1], 4);
  header.writeUInt16LE(62, 18);
  header.writeBigUInt64LE(64n, 32);
  header.writeUInt16LE(56, 54);
  return header;
}

function list(path: string): string[] {
  return existsSync(path) ? readdirSync(path) : [];
}

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<number | null> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  child.kill(signal);
  return ended;
}
