// SPDX-License-Identifier: Apache-2.0
import { homedir, tmpdir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';

export const RUN_ROLES = ['all', 'api', 'agent'] as const;
/** `all`: API and host agent in one process; `api` and `agent`: two processes joined by a UNIX socket. */
export type RunRole = (typeof RUN_ROLES)[number];

/** Bounds of a table: rows beyond the count and rows older than the age go. */
export interface RetentionBounds {
  count: number;
  days: number;
}

/** Everything the process is told from outside, checked once at start. */
export class Config {
  role: RunRole;
  dataDirectory: string;
  runtimeDirectory: string;
  listen: { host: string; port: number };
  /** PostgreSQL; the embedded SQLite file is used when absent. */
  databaseUrl: string | undefined;
  hypervisor: 'native' | 'fake';
  workerPath: string | undefined;
  /** UNIX socket between the api and the agent role. */
  agentSocket: string;
  /** Group (number) that may connect to that socket besides the agent's own user. */
  agentSocketGroup: number | undefined;
  logLevel: string;
  /** `<operation>.<step>`: the process kills itself right after that step. Tests only. */
  fault: string | undefined;
  /** Milliseconds between two periodic runs of the reconcilers. */
  reconcileMilliseconds: number;
  /** Milliseconds between two prunings of tables that would grow for ever. */
  housekeepingMilliseconds: number;
  /** Events kept for resume. */
  eventWindow: number;
  /** A listener of events that takes in too little for so many milliseconds is disconnected. */
  eventStallMilliseconds: number;
  /** Milliseconds between two pings of a console's client; one that answers none is ended. */
  consolePingMilliseconds: number;
  /** How many ended operations are kept, and for how long. */
  keepOperations: RetentionBounds;
  /** How many audit records of each outcome are kept, and for how long. */
  keepAudit: RetentionBounds;
  /** Whether machines may together have more memory than the host. */
  memoryOvercommit: 'refuse' | 'allow';
  /** Directories below which files of the host may be imported; none: anywhere, but by administrators only. */
  importRoots: string[];
  /** Hosts that images may be downloaded from, whatever their addresses; none: any of public address, and by administrators others too. */
  downloadHosts: string[];
  /** Directories below which machines may share folders; none: nowhere. */
  shareRoots: string[];
  /** Directories below which storage pools may be, and then none on a server; none: anywhere. */
  poolRoots: string[];
  /** Links of the host on which guests may be beside it. */
  macvtapParents: string[];
}

/** A host that may be downloaded from, or `*.` and a domain. */
const DOWNLOAD_HOST_PATTERN = /^(?:\*\.)?[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$|^[0-9a-f:]{2,39}$/;

/** A setting that cannot be used; the text says how to mend it. */
export class ConfigError extends Error {
  override name = 'ConfigError';
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads the configuration from the environment and the role from the command line. */
export function readConfig(environment: Environment, role: string = 'all'): Config {
  const get = (name: string): string | undefined => (environment[name] === '' ? undefined : environment[name]);
  const root = process.getuid?.() === 0;
  const test = get('NODE_ENV') === 'test';
  const runtimeDirectory = directory(get('FLOTILLA_RUNTIME_DIR') ?? defaultRuntime(environment, root), 'FLOTILLA_RUNTIME_DIR');
  return {
    role: oneOf(role, RUN_ROLES, '--role'),
    dataDirectory: directory(get('FLOTILLA_DATA_DIR') ?? defaultData(environment, root), 'FLOTILLA_DATA_DIR'),
    runtimeDirectory,
    listen: address(get('FLOTILLA_LISTEN') ?? '127.0.0.1:7070'),
    databaseUrl: databaseUrl(get('FLOTILLA_DATABASE_URL')),
    hypervisor: oneOf(get('FLOTILLA_HYPERVISOR') ?? 'native', ['native', 'fake'] as const, 'FLOTILLA_HYPERVISOR'),
    workerPath: get('FLOTILLA_WORKER'),
    agentSocket: get('FLOTILLA_AGENT_SOCKET') ?? join(runtimeDirectory, 'agent.sock'),
    agentSocketGroup:
      get('FLOTILLA_AGENT_GROUP') === undefined ? undefined : number(get('FLOTILLA_AGENT_GROUP'), 0, 0xffff_fffe, 'FLOTILLA_AGENT_GROUP'),
    logLevel: oneOf(get('FLOTILLA_LOG') ?? 'info', ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const, 'FLOTILLA_LOG'),
    fault: test ? get('FLOTILLA_FAULT') : undefined,
    reconcileMilliseconds: number(get('FLOTILLA_RECONCILE_MS') ?? '10000', 50, 3_600_000, 'FLOTILLA_RECONCILE_MS'),
    housekeepingMilliseconds: number(get('FLOTILLA_HOUSEKEEPING_MS') ?? '60000', 50, 3_600_000, 'FLOTILLA_HOUSEKEEPING_MS'),
    eventWindow: number(get('FLOTILLA_EVENT_WINDOW') ?? '20000', 10, 10_000_000, 'FLOTILLA_EVENT_WINDOW'),
    eventStallMilliseconds: number(get('FLOTILLA_EVENT_STALL_MS') ?? '60000', 50, 3_600_000, 'FLOTILLA_EVENT_STALL_MS'),
    consolePingMilliseconds: number(get('FLOTILLA_CONSOLE_PING_MS') ?? '30000', 50, 3_600_000, 'FLOTILLA_CONSOLE_PING_MS'),
    keepOperations: retention(get, 'FLOTILLA_KEEP_OPERATIONS', 10_000, 30),
    keepAudit: retention(get, 'FLOTILLA_KEEP_AUDIT', 100_000, 365),
    memoryOvercommit: oneOf(get('FLOTILLA_MEMORY_OVERCOMMIT') ?? 'refuse', ['refuse', 'allow'] as const, 'FLOTILLA_MEMORY_OVERCOMMIT'),
    importRoots: directories(get('FLOTILLA_IMPORT_ROOTS'), 'FLOTILLA_IMPORT_ROOTS'),
    downloadHosts: list(get('FLOTILLA_DOWNLOAD_HOSTS')).map(downloadHost),
    shareRoots: directories(get('FLOTILLA_SHARE_ROOTS'), 'FLOTILLA_SHARE_ROOTS'),
    poolRoots: directories(get('FLOTILLA_POOL_ROOTS'), 'FLOTILLA_POOL_ROOTS'),
    macvtapParents: list(get('FLOTILLA_MACVTAP_PARENTS')).map(linkName),
  };
}

/** `<name>` is the count, `<name>_DAYS` the age. */
function retention(get: (name: string) => string | undefined, name: string, count: number, days: number): RetentionBounds {
  return {
    count: number(get(name) ?? String(count), 10, 100_000_000, name),
    days: number(get(`${name}_DAYS`) ?? String(days), 1, 36_500, `${name}_DAYS`),
  };
}

function defaultData(environment: Environment, root: boolean): string {
  return root ? '/var/lib/flotilla' : join(environment['XDG_DATA_HOME'] ?? join(homedir(), '.local/share'), 'flotilla');
}

function defaultRuntime(environment: Environment, root: boolean): string {
  if (root) return '/run/flotilla';
  const base = environment['XDG_RUNTIME_DIR'];
  return base === undefined ? join(tmpdir(), `flotilla-${process.getuid?.() ?? 0}`) : join(base, 'flotilla');
}

/** `a,b`. */
function list(text: string | undefined): string[] {
  return (text ?? '').split(',').filter((name) => name !== '');
}

function downloadHost(name: string): string {
  if (DOWNLOAD_HOST_PATTERN.test(name.toLowerCase())) return name.toLowerCase();
  throw new ConfigError(
    `FLOTILLA_DOWNLOAD_HOSTS has "${name}"; give names or addresses of hosts without port, or *.example.org for all below a domain, with commas between.`,
  );
}

function linkName(name: string): string {
  if (/^[^\s/]{1,15}$/.test(name)) return name;
  throw new ConfigError(`FLOTILLA_MACVTAP_PARENTS has "${name}", which is no name of a link; give names with commas between.`);
}

function directory(path: string, name: string): string {
  if (!isAbsolute(path)) throw new ConfigError(`${name} is "${path}"; give an absolute path.`);
  return resolve(path);
}

/** `a:b`, like a PATH. */
function directories(paths: string | undefined, name: string): string[] {
  const given = (paths ?? '').split(':').filter((path) => path !== '');
  return given.map((path) => directory(path, name));
}

function address(text: string): { host: string; port: number } {
  const match = /^(.+):(\d{1,5})$/.exec(text);
  const host = match?.[1]?.replace(/^\[(.*)\]$/, '$1');
  if (host === undefined) throw new ConfigError(`FLOTILLA_LISTEN is "${text}"; give host:port, for example 127.0.0.1:7070.`);
  return { host, port: number(match?.[2], 0, 65_535, 'FLOTILLA_LISTEN') };
}

function databaseUrl(text: string | undefined): string | undefined {
  if (text !== undefined && !/^postgres(ql)?:\/\//.test(text))
    throw new ConfigError('FLOTILLA_DATABASE_URL must begin with postgres://; leave it out for the embedded SQLite.');
  return text;
}

function number(text: string | undefined, min: number, max: number, name: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new ConfigError(`${name} is "${text ?? ''}"; give a whole number from ${min} to ${max}.`);
  return value;
}

function oneOf<T extends string>(text: string, values: readonly T[], name: string): T {
  const found = values.find((value) => value === text);
  if (found === undefined) throw new ConfigError(`${name} is "${text}"; give one of: ${values.join(', ')}.`);
  return found;
}
