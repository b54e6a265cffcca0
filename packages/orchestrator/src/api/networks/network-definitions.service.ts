// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { newId } from '../../common/ids.js';
import { requireMatch } from '../../common/precondition.js';
import { Database, type Executor, isUniqueViolation } from '../../database/database.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import type { NetworkDto } from './dto/network.dto.js';
import type { DefineNetwork, UpdateNetwork } from './dto/network-requests.dto.js';
import { planAddresses, type Taken } from './network-addresses.js';
import {
  NetworkBuiltIn,
  NetworkInUse,
  NetworkMisconfigured,
  NetworkNameTaken,
  NetworkNotFound,
  TooManyNetworks,
} from './network.errors.js';
import { DEFAULT_NETWORK, type Network, networkTarget, newNetwork } from './network.js';
import { NetworkRepository } from './network.repository.js';
import { NetworksService } from './networks.service.js';

const MAX_NETWORKS = 1024;
/** What is ours to say of networks that are ours. */
const RULED = ['mtu', 'domain', 'isolateMachines', 'antiSpoofing'] as const;

/**
 * Networks as resources: define, change, delete. Each is a row and no more: the host has a network while machines use it, made by whoever starts
 * one and kept by the reconciler; what no row owns is collected. So a kill at any point leaves nothing to undo.
 */
@Injectable()
export class NetworkDefinitions {
  constructor(
    private readonly repository: NetworkRepository,
    private readonly networks: NetworksService,
    private readonly database: Database,
    private readonly agent: HostAgent,
  ) {}

  async define(body: DefineNetwork): Promise<NetworkDto> {
    const routes = await this.agent.usedSubnets();
    const id = newId('net');
    const defined = this.database.write(async (tx) => {
      const networks = await this.repository.all(tx.db);
      if (networks.some(({ name }) => name === body.name) || body.name === DEFAULT_NETWORK) throw new NetworkNameTaken(body.name);
      if (networks.length >= MAX_NETWORKS) throw new TooManyNetworks(MAX_NETWORKS);
      const own = body.kind !== 'bridge';
      const wish = { ...body, antiSpoofing: body.antiSpoofing ?? own };
      const network = newNetwork(id, wish, planPlace(body, { networks, routes }));
      await this.repository.insert(network, tx.db);
      tx.emit({ kind: 'network.created', target: networkTarget(network), data: { kind: network.kind } });
    });
    await defined.catch((error: unknown) => {
      throw isUniqueViolation(error) ? new NetworkNameTaken(body.name) : error;
    });
    return this.networks.get(id);
  }

  async update(idOrName: string, body: UpdateNetwork, ifMatch: string | undefined): Promise<NetworkDto> {
    const { id } = await this.networks.load(idOrName); // makes the default network, if nobody has asked for it yet
    await this.database.write(async (tx) => {
      const network = await this.find(id, tx.db);
      requireMatch('Network', network, ifMatch);
      if (network.kind === 'bridge') refuseOwn(body, RULED);
      change(network, body);
      network.generation += 1;
      network.updatedAt = new Date().toISOString();
      await this.repository.save(network, tx.db);
      tx.emit({ kind: 'network.updated', target: networkTarget(network), data: { generation: network.generation } });
    });
    await this.networks.settle(id);
    return this.networks.get(id);
  }

  /** Whoever makes a machine looks at the network in a transaction too, and there is one of these at a time. */
  async remove(idOrName: string, ifMatch: string | undefined): Promise<void> {
    if (idOrName === DEFAULT_NETWORK) throw new NetworkBuiltIn();
    const { id } = await this.database.write(async (tx) => {
      const network = await this.find(idOrName, tx.db);
      requireMatch('Network', network, ifMatch);
      if (network.name === DEFAULT_NETWORK) throw new NetworkBuiltIn();
      const machines = await this.repository.machinesOn(network.id, tx.db);
      if (machines.length > 0) throw new NetworkInUse(network, machines);
      await this.repository.remove(network.id, tx.db);
      tx.emit({ kind: 'network.deleted', target: networkTarget(network), data: {} });
      return network;
    });
    await this.networks.settle(id, () => this.networks.takeFromHost(id));
  }

  private async find(idOrName: string, db: Executor): Promise<Network> {
    const network = await this.repository.find(idOrName, db);
    if (network === undefined) throw new NetworkNotFound(idOrName);
    return network;
  }
}

/** Where a new network is: at addresses of its own, or on a bridge of the host. */
function planPlace(body: DefineNetwork, taken: Taken): Pick<Network, 'ipv4' | 'hostBridge'> {
  const { kind, bridge, ipv4 } = body;
  if (kind !== 'bridge') {
    if (bridge === undefined) return { ipv4: planAddresses(kind, ipv4 ?? {}, taken) };
    throw new NetworkMisconfigured(`A network of the kind ${kind} has a bridge of its own.`, 'Leave bridge out.', 'bridge');
  }
  refuseOwn(body, ['ipv4', ...RULED]);
  if (bridge === undefined)
    throw new NetworkMisconfigured('A network of the kind bridge needs a bridge.', 'Give the name of one of the host.', 'bridge');
  return { hostBridge: bridge };
}

/** Refuses what is not ours to say of a bridge of the host. */
function refuseOwn<K extends string>(body: Partial<Record<K, unknown>>, fields: readonly K[]): void {
  const field = fields.find((one) => body[one] !== undefined);
  if (field === undefined) return;
  throw new NetworkMisconfigured(
    `${field} of a network of the kind bridge is what the network behind it has.`,
    `Leave ${field} out.`,
    field,
  );
}

function change(network: Network, { mtu, domain, isolateMachines, antiSpoofing, labels }: UpdateNetwork): void {
  if (mtu === null) delete network.mtu;
  else if (mtu !== undefined) network.mtu = mtu;
  network.domain = domain ?? network.domain;
  network.isolateMachines = isolateMachines ?? network.isolateMachines;
  network.antiSpoofing = antiSpoofing ?? network.antiSpoofing;
  network.labels = labels ?? network.labels;
}
