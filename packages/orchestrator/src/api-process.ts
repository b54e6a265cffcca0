// SPDX-License-Identifier: Apache-2.0
import 'reflect-metadata';
import { rename, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { ConsoleGateway } from './api/console/console.gateway.js';
import { EventHub } from './api/events/event-hub.js';
import { EventStreams } from './api/events/event-streams.service.js';
import { HealthService } from './api/health/health.service.js';
import { IdempotencyStore } from './api/idempotency/idempotency.store.js';
import { POOL_OPERATIONS, PoolOperations } from './api/pools/pool.operations.js';
import { ImageDelete, ImageImport } from './api/images/image.operations.js';
import { DiskAttach, DiskDetach } from './api/machines/disk.operations.js';
import { VolumeMove } from './api/volumes/volume-move.operation.js';
import { VolumeCreate, VolumeDelete } from './api/volumes/volume.operations.js';
import { KeysService } from './api/keys/keys.service.js';
import { MACHINE_OPERATIONS, MachineOperations } from './api/machines/machine.operations.js';
import { UnseenMachines } from './api/machines/unseen-machines.js';
import { OperationRunner } from './api/operations/operation-runner.js';
import { Reconcilers } from './api/reconcilers.service.js';
import { StartUp } from './api/start-up.service.js';
import { AppModule, type Outside } from './app.module.js';
import { keyBeforeBody } from './http/auth.guard.js';
import { requireObject } from './http/body-checks.js';
import { allowLongUploads, requestLimits } from './http/request-limits.js';
import { afterFirstLook, requestContext, requireJson } from './http/request-context.js';
import { requirePlainTarget, takeTargetsInAnyForm } from './http/request-target.js';

const BODY_LIMIT = '1mb';
const STOP_MILLISECONDS = 5_000;

/** The api role while it runs. */
export interface RunningApi {
  url: string;
  /** Ends requests, streams and reconcilers; machines go on. */
  stop(): Promise<void>;
}

/** Starts the api role: listens first, adopts what runs right after. Requests wait a moment for that. */
export async function startApi(outside: Outside): Promise<RunningApi> {
  const { config, log, database, agent } = outside;
  const app = await NestFactory.create<NestExpressApplication>(AppModule.with(outside), {
    logger: false,
    bodyParser: false,
    abortOnError: false,
  });
  configure(app);
  const runner = app.get(OperationRunner);
  const machineOperations = app.get(MachineOperations);
  for (const kind of MACHINE_OPERATIONS) runner.register(machineOperations.definition(kind));
  const poolOperations = app.get(PoolOperations);
  for (const kind of POOL_OPERATIONS) runner.register(poolOperations.definition(kind));
  runner.register(app.get(ImageImport));
  runner.register(app.get(ImageDelete));
  runner.register(app.get(DiskAttach));
  runner.register(app.get(DiskDetach));
  runner.register(app.get(VolumeCreate));
  runner.register(app.get(VolumeMove));
  runner.register(app.get(VolumeDelete));
  await app.get(KeysService).bootstrap();
  await app.get(IdempotencyStore).settleInterrupted();
  app.get(ConsoleGateway).attach(app.getHttpServer());
  await app.get(StartUp).collect();
  const unseen = app.get(UnseenMachines);
  await unseen.collect();
  await app.listen(config.listen.port, config.listen.host);
  const url = urlOf(app.getHttpServer().address() as AddressInfo);
  await announce(config.dataDirectory, url);
  const reconcilers = app.get(Reconcilers);
  const starting = reconcilers.start().then(
    () => {
      app.get(HealthService).markStarted();
      unseen.endFirstLook();
    },
    (error: unknown) => log.error({ err: error }, 'the reconcilers do not run'),
  );
  return {
    url,
    stop: async () => {
      const reconciled = reconcilers.stop();
      app.get(EventStreams).close();
      app.get(ConsoleGateway).close();
      await Promise.all([reconciled, starting, runner.stop(STOP_MILLISECONDS)]);
      app.get(EventHub).close();
      app.getHttpServer().closeAllConnections();
      await app.close();
      await agent.close();
      await database.close();
      await rm(join(config.dataDirectory, 'orchestrator.json'), { force: true });
    },
  };
}

function configure(app: NestExpressApplication): void {
  app.disable('x-powered-by');
  app.disable('etag');
  allowLongUploads(app.getHttpServer());
  takeTargetsInAnyForm(app.getHttpServer());
  app.use(requestLimits(), afterFirstLook(app.get(UnseenMachines)), requestContext, requirePlainTarget);
  app.use(keyBeforeBody(app.get(KeysService)), requireJson);
  app.useBodyParser('json', { limit: BODY_LIMIT, strict: true, type: ['application/json', 'application/*+json'] });
  app.use(requireObject);
}

function urlOf(address: AddressInfo): string {
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}

/** Tells other programs of this host where the API is. */
async function announce(directory: string, url: string): Promise<void> {
  const path = join(directory, 'orchestrator.json');
  await writeFile(`${path}.tmp`, `${JSON.stringify({ pid: process.pid, url, startedAt: new Date().toISOString() })}\n`);
  await rename(`${path}.tmp`, path);
  process.stdout.write(`listening on ${url}\n`);
}
