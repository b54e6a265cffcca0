// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeLog, type Log } from './common/log.js';
import { DirectoryLock, DirectoryLocked } from './common/directory-lock.js';
import { type Config, ConfigError, readConfig } from './config/config.js';

const USAGE = `flotilla-orchestrator [--role all|api|agent]

  all    API and host agent in one process (default)
  agent  host agent alone: does what touches the host; listens on the agent socket
  api    API alone: needs no privilege; talks to the agent socket

Settings come from the environment: FLOTILLA_DATA_DIR, FLOTILLA_RUNTIME_DIR, FLOTILLA_LISTEN, FLOTILLA_DATABASE_URL,
FLOTILLA_HYPERVISOR, FLOTILLA_WORKER, FLOTILLA_AGENT_SOCKET, FLOTILLA_AGENT_GROUP, FLOTILLA_LOG, FLOTILLA_IMPORT_ROOTS (a:b),
FLOTILLA_KEEP_OPERATIONS, FLOTILLA_KEEP_OPERATIONS_DAYS, FLOTILLA_KEEP_AUDIT, FLOTILLA_KEEP_AUDIT_DAYS, FLOTILLA_EVENT_WINDOW.
`;

interface Running {
  stop(): Promise<void>;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { role: { type: 'string', default: 'all' }, help: { type: 'boolean', short: 'h', default: false } },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const config = readConfig(process.env, values.role);
  const log = makeLog(config.logLevel);
  mkdirSync(config.dataDirectory, { recursive: true, mode: 0o700 });
  let stopping = false;
  const stop = (signal: NodeJS.Signals) => {
    if (stopping) process.exit(130);
    stopping = true;
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
  process.on('SIGINT', stop).on('SIGTERM', stop);
  // After that: it takes its lock at once, and whoever sees the lock may send a signal.
  const started = config.role === 'agent' ? startAgentRole(config, log) : startApiRole(config, log);
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'a promise was rejected and nobody listened'));
  await started;
}

async function startApiRole(config: Config, log: Log): Promise<Running> {
  const lock = DirectoryLock.take(config.dataDirectory, 'orchestrator.lock');
  const { Database } = await import('./database/database.js');
  const { startApi } = await import('./api-process.js');
  const agent = await connectAgent(config, log);
  const database =
    config.databaseUrl === undefined
      ? Database.openSqlite(join(config.dataDirectory, 'flotilla.db'))
      : await Database.openPostgres(config.databaseUrl);
  await database.migrate();
  const api = await startApi({ config, database, agent, log });
  return {
    stop: async () => {
      await api.stop();
      lock.release();
    },
  };
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
  const known = error instanceof ConfigError || error instanceof DirectoryLocked;
  process.stderr.write(
    `flotilla-orchestrator: ${known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exit(known ? 2 : 1);
});
