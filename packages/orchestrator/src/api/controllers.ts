// SPDX-License-Identifier: Apache-2.0
import { AuditController } from './audit/audit.controller.js';
import { EventsController } from './events/events.controller.js';
import { HealthController } from './health/health.controller.js';
import { HostsController } from './hosts/hosts.controller.js';
import { ImagesController } from './images/images.controller.js';
import { KeysController } from './keys/keys.controller.js';
import { MachineDisksController } from './machines/machine-disks.controller.js';
import { MachinesController } from './machines/machines.controller.js';
import { NetworkForwardsController } from './networks/network-forwards.controller.js';
import { NetworksController } from './networks/networks.controller.js';
import { OperationsController } from './operations/operations.controller.js';
import { PoolsController } from './pools/pools.controller.js';
import { VolumesController } from './volumes/volumes.controller.js';

/** Every controller of the API, in the order of the document. */
export const CONTROLLERS = [
  MachinesController,
  MachineDisksController,
  ImagesController,
  PoolsController,
  VolumesController,
  NetworksController,
  NetworkForwardsController,
  HostsController,
  OperationsController,
  EventsController,
  KeysController,
  AuditController,
  HealthController,
] as const;
