// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BINARIES = '/usr/lib/postgresql/15/bin';
const NOBODY = 65_534;

/**
 * A PostgreSQL of Debian's package in a temporary directory, on a UNIX socket and on a free port of 127.0.0.1. It ends with the process
 * that started it.
 */
export class Postgres {
  private count = 0;

  private constructor(
    private readonly directory: string,
    private readonly port: number,
  ) {}

  static available(): boolean {
    return existsSync(join(BINARIES, 'initdb'));
  }

  static async start(): Promise<Postgres> {
    const directory = mkdtempSync(join(tmpdir(), 'flotilla-pg-'));
    if (process.getuid?.() === 0) chownSync(directory, NOBODY, NOBODY);
    const data = join(directory, 'data');
    run('initdb', [
      '--pgdata',
      data,
      '--username',
      'postgres',
      '--auth',
      'trust',
      '--no-sync',
      '--encoding',
      'UTF8',
      '--locale',
      'C.UTF-8',
    ]);
    const port = await freePort();
    const [program, args] = command('postgres', [
      '-D',
      data,
      '-k',
      directory,
      '-c',
      'listen_addresses=127.0.0.1',
      '-p',
      String(port),
      '-c',
      'fsync=off',
      '-c',
      'max_connections=100',
    ]);
    spawn(program, args, { stdio: 'ignore', cwd: '/' }).unref();
    const postgres = new Postgres(directory, port);
    process.once('exit', () => postgres.stop());
    for (let attempt = 0; ; attempt += 1) {
      try {
        postgres.ask('select 1');
        return postgres;
      } catch (error) {
        if (attempt > 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  /** A new, empty database; `socket` reaches it as a service on the same host does, `tcp` as one on another host. */
  createDatabase(over: 'socket' | 'tcp' = 'socket'): string {
    this.count += 1;
    const name = `flotilla_${this.count}`;
    this.ask(`create database ${name}`);
    if (over === 'tcp') return `postgres://postgres@127.0.0.1:${this.port}/${name}`;
    return `postgres:///${name}?host=${this.directory}&port=${this.port}&user=postgres`;
  }

  private ask(statement: string): void {
    run('psql', ['-h', this.directory, '-p', String(this.port), '-U', 'postgres', '-c', statement]);
  }

  /** By a process of its own: mocha gives those that run its files a second to end. */
  private stop(): void {
    const [program, args] = command('pg_ctl', ['stop', '--pgdata', join(this.directory, 'data'), '--mode', 'immediate', '--silent']);
    const script = 'directory="$1"; shift; "$@"; rm -rf "$directory"';
    spawn('sh', ['-c', script, 'stop', this.directory, program, ...args], { detached: true, stdio: 'ignore', cwd: '/' }).unref();
  }
}

/** Free a moment ago: whoever takes it in between makes the start fail. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** PostgreSQL refuses to run as root: then it runs as nobody. */
function command(program: string, args: string[]): [string, string[]] {
  const path = join(BINARIES, program);
  if (process.getuid?.() !== 0) return [path, args];
  return ['setpriv', [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', path, ...args]];
}

function run(program: string, args: string[]): void {
  const [path, all] = command(program, args);
  execFileSync(path, all, { stdio: 'pipe', cwd: '/' });
}
