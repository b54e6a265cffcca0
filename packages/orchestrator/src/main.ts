// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ApiError } from './common/api-error.js';
import { makeLog, type Log } from './common/log.js';
import { DirectoryLock, DirectoryLocked } from './common/directory-lock.js';
import { DirectoryNotOurs, takePrivate } from './common/private-directory.js';
import { type Config, ConfigError, readConfig } from './config/config.js';
import { DatabaseLock, DatabaseTaken } from './database/database-lock.js';

const USAGE = `flotilla-orchestrator [--role all|api|agent] [--adopt-data]

  all    API and host agent in one process (default)
  agent  host agent alone: does what touches the host; listens on the agent socket
  api    API alone: needs no privilege; talks to the agent socket

  --adopt-data    take over a data directory that belongs to another database: machines there that this database does not know
                  are ended, images and volumes that it does not know are set aside (with role all or api; give it once)

Settings come from the environment: FLOTILLA_DATA_DIR, FLOTILLA_RUNTIME_DIR, FLOTILLA_LISTEN, FLOTILLA_DATABASE_URL,
FLOTILLA_HYPERVISOR, FLOTILLA_WORKER, FLOTILLA_AGENT_SOCKET, FLOTILLA_AGENT_GROUP, FLOTILLA_LOG, FLOTILLA_IMPORT_ROOTS (a:b), FLOTILLA_DOWNLOAD_HOSTS (a,b),
FLOTILLA_SHARE_ROOTS (a:b), FLOTILLA_POOL_ROOTS (a:b), FLOTILLA_MACVTAP_PARENTS (a,b), FLOTILLA_KEEP_OPERATIONS,
FLOTILLA_KEEP_OPERATIONS_DAYS, FLOTILLA_KEEP_AUDIT, FLOTILLA_KEEP_AUDIT_DAYS, FLOTILLA_EVENT_WINDOW.
`;

/**
 * A terminal sends ^C to the whole foreground group, systemd its SIGTERM to the whole unit, and `flotilla up` hands on what it gets
 * itself: what comes so soon after the first signal is the same one. Only a later one ends the process in the middle of its stop.
 */
const SAME_SIGNAL_MILLISECONDS = 3_000;

interface Running {
  stop(): Promise<void>;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      role: { type: 'string', default: 'all' },
      'adopt-data': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const config = readConfig(process.env, values.role);
  const adopt = values['adopt-data'];
  if (adopt && config.role === 'agent') throw new ConfigError('--adopt-data is for the role that has the database: all or api.');
  const log = makeLog(config.logLevel);
  takeDirectory(config, log);
  let stoppingSince: number | undefined;
  const stop = (signal: NodeJS.Signals) => {
    if (stoppingSince !== undefined) {
      if (performance.now() - stoppingSince > SAME_SIGNAL_MILLISECONDS) process.exit(130);
      return;
    }
    stoppingSince = performance.now();
    log.info({ signal }, 'stopping; machines go on');
    // A signal during the start waits for its end: what was begun is then closed in order.
    const stopped = started.then((running) => running.stop());
    stopped.then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'the stop failed');
        process.exit(1);
      },
    );
  };
  process.on('SIGINT', stop).on('SIGTERM', stop).on('SIGHUP', stop);
  // After that: it takes its lock at once, and whoever sees the lock may send a signal.
  const started = config.role === 'agent' ? startAgentRole(config, log) : startApiRole(config, log, adopt);
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'a promise was rejected and nobody listened'));
  await started;
}

/** The data directory, or of the agent alone its part: the rest may be that of an api role with a user of its own. */
function takeDirectory({ role, dataDirectory }: Config, log: Log): void {
  const path = role === 'agent' ? join(dataDirectory, 'host') : dataDirectory;
  if (takePrivate(path).wasOpen)
    log.warn({ path }, 'the data directory was open to other users of this host, and is no longer; who read keys there still has them');
}

async function startApiRole(config: Config, log: Log, adopt: boolean): Promise<Running> {
  const lock = DirectoryLock.take(config.dataDirectory, 'orchestrator.lock');
  const { Database } = await import('./database/database.js');
  const { startApi } = await import('./api-process.js');
  const { Installation } = await import('./api/installation.service.js');
  const databaseLock = config.databaseUrl === undefined ? undefined : await lockDatabase(config.databaseUrl, log);
  const agent = await connectAgent(config, log);
  const database =
    config.databaseUrl === undefined
      ? Database.openSqlite(join(config.dataDirectory, 'flotilla.db'))
      : await Database.openPostgres(config.databaseUrl);
  await database.migrate();
  // Before anything is written to the data directory, the first key too.
  await new Installation(database, agent).claimHost({ adopt }).catch((error: unknown) => {
    // Without an agent there is nothing yet to take hold of; the reconcilers do it before they do anything else with the host.
    if (adopt || !(error instanceof ApiError) || error.code !== 'host.unavailable') throw error;
  });
  const api = await startApi({ config, database, agent, log });
  return {
    stop: async () => {
      await api.stop();
      await databaseLock?.release();
      lock.release();
    },
  };
}

async function lockDatabase(url: string, log: Log): Promise<DatabaseLock> {
  return DatabaseLock.take(url, (error) => {
    log.error({ err: error }, 'the database was taken by another orchestrator while it could not be reached; this one ends');
    process.exit(1);
  });
}

async function connectAgent(config: Config, log: Log) {
  if (config.role === 'api') {
    const { SocketHostAgent } = await import('./host-agent/socket-client.js');
    return new SocketHostAgent(config.agentSocket);
  }
  const { makeHostAgent } = await import('./agent/make-host-agent.js');
  return makeHostAgent(config, log);
}

async function startAgentRole(config: Config, log: Log): Promise<Running> {
  const lock = DirectoryLock.take(join(config.dataDirectory, 'host'), 'agent.lock');
  const { makeHostAgent } = await import('./agent/make-host-agent.js');
  const { serveHostAgent } = await import('./host-agent/socket-server.js');
  const agent = await makeHostAgent(config, log);
  const server = await serveHostAgent(agent, { path: config.agentSocket, group: config.agentSocketGroup, log });
  process.stdout.write(`agent listening on ${config.agentSocket}\n`);
  return {
    stop: async () => {
      await server.close();
      await agent.close();
      lock.release();
    },
  };
}

main().catch((error: unknown) => {
  const known =
    error instanceof ConfigError || error instanceof DirectoryLocked || error instanceof DirectoryNotOurs || error instanceof DatabaseTaken;
  process.stderr.write(`flotilla-orchestrator: ${known ? error.message : textOf(error)}\n`);
  process.exit(known || error instanceof ApiError ? 2 : 1);
});

function textOf(error: unknown): string {
  if (error instanceof ApiError) return `${error.code}: ${error.message}\n${error.remedy}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
