// SPDX-License-Identifier: Apache-2.0
import { MachineThrottles } from './api/machines/machine-throttles.service.js';
import { type DynamicModule, Module, type Provider } from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { AuditService } from './api/audit/audit.service.js';
import { ConsoleGateway } from './api/console/console.gateway.js';
import { CONTROLLERS } from './api/controllers.js';
import { EventHub } from './api/events/event-hub.js';
import { EventRepository } from './api/events/event.repository.js';
import { EventStreams } from './api/events/event-streams.service.js';
import { HealthService } from './api/health/health.service.js';
import { Metrics } from './api/health/metrics.js';
import { MachineScrape } from './api/health/machine-scrape.js';
import { HostsService } from './api/hosts/hosts.service.js';
import { IdempotencyStore } from './api/idempotency/idempotency.store.js';
import { ImageDelete, ImageImport } from './api/images/image.operations.js';
import { ImageRepository, KyselyImageRepository } from './api/images/image.repository.js';
import { ImageUploads } from './api/images/image-uploads.service.js';
import { OpenUploads } from './api/images/open-uploads.js';
import { ImagesService } from './api/images/images.service.js';
import { KeyRepository, KyselyKeyRepository } from './api/keys/key.repository.js';
import { KeysService } from './api/keys/keys.service.js';
import { LeasesReconciler } from './api/machines/leases.reconciler.js';
import { KyselyMachineRepository } from './api/machines/kysely-machine.repository.js';
import { MachineAddressHolders } from './api/machines/machine-address-holders.js';
import { MachineActions } from './api/machines/machine-actions.service.js';
import { MachineConsole } from './api/machines/machine-console.service.js';
import { LiveChanges } from './api/machines/live-changes.service.js';
import { MachineBalloons } from './api/machines/machine-balloons.service.js';
import { MachineLinks } from './api/machines/machine-links.service.js';
import { MachineAlarms } from './api/machines/machine-alarms.service.js';
import { MachineOperations } from './api/machines/machine.operations.js';
import { MachinePlanner } from './api/machines/machine-plan.service.js';
import { MachineRepository } from './api/machines/machine.repository.js';
import { MachineVolumeHolders } from './api/machines/machine-volume-holders.js';
import { MachineStates } from './api/machines/machine-states.service.js';
import { MachineSteps } from './api/machines/machine-steps.service.js';
import { MachineMemory } from './api/machines/machine-memory.service.js';
import { DiskAttach, DiskDetach } from './api/machines/disk.operations.js';
import { DiskPlanner } from './api/machines/disk-plan.service.js';
import { MachineDisks } from './api/machines/machine-disks.service.js';
import { MachinePools } from './api/machines/machine-pools.service.js';
import { MachineStores } from './api/machines/machine-stores.service.js';
import { MachinesReconciler } from './api/machines/machines.reconciler.js';
import { MachinesService } from './api/machines/machines.service.js';
import { UnseenMachines } from './api/machines/unseen-machines.js';
import { AddressHolders } from './api/networks/address-holders.js';
import { KyselyNetworkRepository, NetworkRepository } from './api/networks/network.repository.js';
import { ForwardRepository, KyselyForwardRepository } from './api/networks/forward.repository.js';
import { NetworkForwards } from './api/networks/network-forwards.service.js';
import { NetworkDefinitions } from './api/networks/network-definitions.service.js';
import { NetworksReconciler } from './api/networks/networks.reconciler.js';
import { NetworksService } from './api/networks/networks.service.js';
import { KyselyOperationRepository, OperationRepository } from './api/operations/operation.repository.js';
import { OperationRunner } from './api/operations/operation-runner.js';
import { OperationsService } from './api/operations/operations.service.js';
import { PoolActions } from './api/pools/pool-actions.service.js';
import { PoolOperations, PoolSteps } from './api/pools/pool.operations.js';
import { KyselyPoolRepository, PoolRepository } from './api/pools/pool.repository.js';
import { PoolStates } from './api/pools/pool-states.service.js';
import { PoolUse } from './api/pools/pool-use.service.js';
import { PoolsReconciler } from './api/pools/pools.reconciler.js';
import { PoolsService } from './api/pools/pools.service.js';
import { Installation } from './api/installation.service.js';
import { OrphansReconciler } from './api/orphans.reconciler.js';
import { ReconcilerRuns } from './api/reconciler-runs.service.js';
import { Reconcilers } from './api/reconcilers.service.js';
import { Retention } from './api/retention/retention.service.js';
import { Housekeeping } from './api/housekeeping.service.js';
import { StartUp } from './api/start-up.service.js';
import { KyselyVolumeRepository, VolumeRepository } from './api/volumes/volume.repository.js';
import { VolumeActions } from './api/volumes/volume-actions.service.js';
import { VolumeCreate, VolumeDelete, VolumesOnHost } from './api/volumes/volume.operations.js';
import { VolumeMove } from './api/volumes/volume-move.operation.js';
import { VolumeSources } from './api/volumes/volume-sources.service.js';
import { VolumePlanner } from './api/volumes/volume-plan.service.js';
import { VolumeHolders } from './api/volumes/volume-holders.js';
import { VolumesService } from './api/volumes/volumes.service.js';
import { FaultPoints } from './common/fault.js';
import { LOG, type Log } from './common/log.js';
import { Config } from './config/config.js';
import { Database } from './database/database.js';
import { HostAgent } from './host-agent/host-agent.js';
import { AuditInterceptor } from './http/audit.interceptor.js';
import { AuthGuard } from './http/auth.guard.js';
import { IdempotencyInterceptor } from './http/idempotency.interceptor.js';
import { OperationInterceptor } from './http/operation.interceptor.js';
import { ProblemFilter } from './http/problem.filter.js';
import { makeValidationPipe } from './http/validation.js';

/** What is made before Nest begins. */
export interface Outside {
  config: Config;
  database: Database;
  agent: HostAgent;
  log: Log;
}

const REPOSITORIES: Provider[] = [
  { provide: MachineRepository, useClass: KyselyMachineRepository },
  { provide: ImageRepository, useClass: KyselyImageRepository },
  { provide: VolumeRepository, useClass: KyselyVolumeRepository },
  { provide: PoolRepository, useClass: KyselyPoolRepository },
  { provide: NetworkRepository, useClass: KyselyNetworkRepository },
  { provide: ForwardRepository, useClass: KyselyForwardRepository },
  { provide: OperationRepository, useClass: KyselyOperationRepository },
  { provide: KeyRepository, useClass: KyselyKeyRepository },
  EventRepository,
];

const SERVICES: Provider[] = [
  { provide: AddressHolders, useClass: MachineAddressHolders },
  { provide: VolumeHolders, useClass: MachineVolumeHolders },
  MachinesService,
  UnseenMachines,
  MachineMemory,
  MachineStores,
  MachinePools,
  MachinePlanner,
  DiskPlanner,
  MachineDisks,
  DiskAttach,
  DiskDetach,
  MachineActions,
  MachineConsole,
  MachineBalloons,
  MachineLinks,
  MachineAlarms,
  LiveChanges,
  MachineThrottles,
  MachineStates,
  MachineSteps,
  MachineOperations,
  MachinesReconciler,
  LeasesReconciler,
  ImagesService,
  ImageUploads,
  OpenUploads,
  ImageImport,
  ImageDelete,
  PoolsService,
  PoolActions,
  PoolStates,
  PoolSteps,
  PoolOperations,
  PoolUse,
  PoolsReconciler,
  VolumesService,
  VolumeActions,
  VolumePlanner,
  VolumeSources,
  VolumesOnHost,
  VolumeCreate,
  VolumeDelete,
  VolumeMove,
  NetworksService,
  NetworkDefinitions,
  NetworkForwards,
  NetworksReconciler,
  HostsService,
  OperationsService,
  OperationRunner,
  EventHub,
  EventStreams,
  KeysService,
  AuditService,
  IdempotencyStore,
  HealthService,
  Metrics,
  MachineScrape,
  ConsoleGateway,
  Installation,
  OrphansReconciler,
  StartUp,
  Housekeeping,
  Retention,
  ReconcilerRuns,
  Reconcilers,
];

// The order counts: the answer of a handler passes idempotency, then the wait for the operation, then the audit.
const PIPELINE: Provider[] = [
  { provide: APP_GUARD, useClass: AuthGuard },
  { provide: APP_INTERCEPTOR, useClass: AuditInterceptor },
  { provide: APP_INTERCEPTOR, useClass: OperationInterceptor },
  { provide: APP_INTERCEPTOR, useClass: IdempotencyInterceptor },
  { provide: APP_PIPE, useFactory: makeValidationPipe },
  { provide: APP_FILTER, useClass: ProblemFilter },
];

/** The whole api role: wiring only. */
@Module({})
export class AppModule {
  static with(outside: Outside): DynamicModule {
    const values: Provider[] = [
      { provide: Config, useValue: outside.config },
      { provide: Database, useValue: outside.database },
      { provide: HostAgent, useValue: outside.agent },
      { provide: LOG, useValue: outside.log },
      { provide: FaultPoints, useValue: new FaultPoints(outside.config.fault) },
    ];
    return { module: AppModule, controllers: [...CONTROLLERS], providers: [...values, ...REPOSITORIES, ...SERVICES, ...PIPELINE] };
  }
}
