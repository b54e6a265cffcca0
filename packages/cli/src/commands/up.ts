// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { collect } from '../values.js';

interface UpOptions {
  readonly listen?: string;
  readonly dataDir?: string;
  readonly runtimeDir?: string;
  readonly databaseUrl?: string;
  readonly importRoot?: string[];
  readonly downloadHost?: readonly string[];
  readonly shareRoot?: string[];
  readonly poolRoot?: string[];
  readonly macvtapParent?: readonly string[];
  readonly adoptData?: boolean;
  readonly role: string;
}

/** `flotilla up`: the orchestrator in the foreground. Machines outlive it. */
export function addUpCommand(program: Command): void {
  program
    .command('up')
    .description('run the orchestrator on this host, in the foreground; machines go on when it ends')
    .addHelpText(
      'after',
      '\n^C, SIGTERM and SIGHUP stop it in order, which takes up to 5 s while operations run. Again after 3 s, they end it at once.',
    )
    .option('--listen <host:port>', 'address of the API (default: 127.0.0.1:7070)')
    .option('--data-dir <path>', 'where the database, images and volumes live')
    .option('--runtime-dir <path>', 'where sockets and worker records live')
    .option('--database-url <url>', 'a PostgreSQL database instead of the embedded SQLite')
    .option(
      '--import-root <directory>',
      'only files below this directory may be imported by path, by operators too (may be repeated)',
      collectRoot,
    )
    .option(
      '--download-host <host>',
      'images may be downloaded from this host only, or with *.DOMAIN from those below a domain, by operators too (may be repeated)',
      collect,
    )
    .option('--share-root <directory>', 'machines of administrators may share folders below this directory (may be repeated)', collectRoot)
    .option('--pool-root <directory>', 'storage pools may be below this directory only, and on no server (may be repeated)', collectRoot)
    .option('--macvtap-parent <link>', 'administrators may put guests on this link of the host, beside it (may be repeated)', collect)
    .option(
      '--adopt-data',
      'take over a data directory of another database, this once: machines that this database does not know are ended, images and volumes set aside',
    )
    .addOption(
      new Option('--role <role>', 'the API, the host agent, or both in one process').choices(['all', 'api', 'agent']).default('all'),
    )
    .action(async (options: UpOptions) => {
      process.exitCode = await runOrchestrator(options);
    });
}

function collectRoot(value: string, before: string[] = []): string[] {
  if (value.includes(':')) throw new InvalidArgumentError('The path of a root may not hold a colon.');
  return [...before, resolve(value)];
}

/** Runs it as a process of its own, so that what the CLI has loaded is not in its memory. */
function runOrchestrator(options: UpOptions): Promise<number> {
  const entry = fileURLToPath(import.meta.resolve('@flotilla/orchestrator'));
  const settings = {
    FLOTILLA_LISTEN: options.listen,
    FLOTILLA_DATA_DIR: options.dataDir,
    FLOTILLA_RUNTIME_DIR: options.runtimeDir,
    FLOTILLA_DATABASE_URL: options.databaseUrl,
    FLOTILLA_IMPORT_ROOTS: options.importRoot?.join(':'),
    FLOTILLA_DOWNLOAD_HOSTS: options.downloadHost?.join(','),
    FLOTILLA_SHARE_ROOTS: options.shareRoot?.join(':'),
    FLOTILLA_POOL_ROOTS: options.poolRoot?.join(':'),
    FLOTILLA_MACVTAP_PARENTS: options.macvtapParent?.join(','),
  };
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
  const args = ['--role', options.role, ...(options.adoptData === true ? ['--adopt-data'] : [])];
  const child = spawn(process.execPath, [entry, ...args], { stdio: 'inherit', env: { ...process.env, ...given } });
  // In a terminal or a unit of systemd the child gets the signal twice, and takes both for one.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (status) => resolve(status ?? 1));
  });
}
