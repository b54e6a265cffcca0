// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import type { PageQuery } from '../../common/dto/list.dto.js';
import { newId } from '../../common/ids.js';
import { formatIpv4, isOuter, parseIpv4 } from '../../common/ipv4.js';
import { MAX_NETWORK_FORWARDS } from '../../common/network.js';
import { type Page, pageOf } from '../../common/paging.js';
import { requireMatch } from '../../common/precondition.js';
import { Database, type Executor, type WriteTransaction } from '../../database/database.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import { AddressHolders } from './address-holders.js';
import type { AddForward, NetworkForwardDto } from './dto/forward.dto.js';
import { ForwardRepository } from './forward.repository.js';
import { NetworkNotFound } from './network.errors.js';
import { type Address, type Forward, type Network, networkTarget } from './network.js';
import { NetworkRepository } from './network.repository.js';
import { NetworksService } from './networks.service.js';

/** Ports of the host that lead to machines on networks of the kind `nat`. */
@Injectable()
export class NetworkForwards {
  constructor(
    private readonly repository: ForwardRepository,
    private readonly networkRepository: NetworkRepository,
    private readonly networks: NetworksService,
    private readonly holders: AddressHolders,
    private readonly database: Database,
    private readonly agent: HostAgent,
  ) {}

  async list(idOrName: string, query: PageQuery): Promise<Page<NetworkForwardDto>> {
    const { id } = await this.networks.load(idOrName);
    return pageOf(await this.networks.forwardsOf(id), query);
  }

  async add(idOrName: string, body: AddForward, ifMatch: string | undefined): Promise<NetworkForwardDto> {
    const { id } = await this.networks.load(idOrName);
    const wanted = { ...body, ...(body.hostAddress === undefined ? {} : { hostAddress: outer(body.hostAddress) }) };
    const { protocol, hostAddress, hostPort } = wanted;
    await this.agent.requireFreePort({ protocol, hostPort, ...(hostAddress === undefined ? {} : { hostAddress }) });
    const { forward, address } = await this.database.write((tx) => this.insert(tx, id, wanted, ifMatch));
    await this.networks.settle(id);
    const { network: _network, ...shown } = forward;
    return { ...shown, address };
  }

  async remove(idOrName: string, forwardId: string, ifMatch: string | undefined): Promise<void> {
    const { id } = await this.networks.load(idOrName);
    await this.database.write(async (tx) => {
      const network = await this.find(id, ifMatch, tx.db);
      if (!(await this.repository.on(id, tx.db)).some((one) => one.id === forwardId)) throw notFound(network, forwardId);
      await this.repository.remove(forwardId, tx.db);
      await this.touch(tx, network);
    });
    await this.networks.settle(id);
  }

  private async insert(tx: WriteTransaction, id: string, body: AddForward, ifMatch: string | undefined) {
    const network = await this.find(id, ifMatch, tx.db);
    if (network.kind !== 'nat') throw unsupported(network);
    if ((await this.repository.on(id, tx.db)).length >= MAX_NETWORK_FORWARDS) throw tooMany(network);
    const taken = (await this.repository.at(body.protocol, body.hostPort, tx.db)).find((one) => clash(one, body));
    if (taken !== undefined) throw busy(body, taken);
    const address = await this.addressOf(network, body, tx.db);
    const { protocol, hostAddress, hostPort, guestPort } = body;
    const forward: Forward = {
      id: newId('fwd'),
      network: id,
      machine: address.machine,
      interface: address.interface,
      protocol,
      ...(hostAddress === undefined ? {} : { hostAddress }),
      hostPort,
      guestPort,
      createdAt: new Date().toISOString(),
    };
    await this.repository.insert(forward, tx.db);
    await this.touch(tx, network);
    return { forward, address: address.ip };
  }

  /** Where a forward leads: the machine must have an interface there, and if it has several, one is named. */
  private async addressOf(network: Network, { machine, interface: name }: AddForward, db: Executor): Promise<Address> {
    const id = await this.holders.idOf(machine, db);
    const held = id === undefined ? [] : (await this.networkRepository.addressesOf(id, db)).filter((one) => one.network === network.id);
    const found = held.filter((one) => name === undefined || one.interface === name);
    const [only] = found;
    if (only !== undefined && found.length === 1) return only;
    throw new ApiError('forward.machine_invalid', {
      detail:
        held.length === 0
          ? `There is no machine "${machine}" on network "${network.name}".`
          : `Machine "${machine}" is on network "${network.name}" with: ${held.map((one) => one.interface).join(', ')}.`,
      remedy: 'Name a machine that is on the network, and its interface if it has several there.',
      field: held.length === 0 ? 'machine' : 'interface',
    });
  }

  private async touch(tx: WriteTransaction, network: Network): Promise<void> {
    network.generation += 1;
    network.updatedAt = new Date().toISOString();
    await this.networkRepository.save(network, tx.db);
    tx.emit({ kind: 'network.updated', target: networkTarget(network), data: { generation: network.generation } });
  }

  private async find(id: string, ifMatch: string | undefined, db: Executor): Promise<Network> {
    const network = await this.networkRepository.find(id, db);
    if (network === undefined) throw new NetworkNotFound(id);
    requireMatch('Network', network, ifMatch);
    return network;
  }
}

/** An address of the host that others reach. A forward from its loopback would lead to nowhere. */
function outer(text: string): string {
  if (isOuter(text)) return formatIpv4(parseIpv4(text) ?? 0);
  throw new ApiError('spec.forward_invalid', {
    detail: `${text} is no address at which others reach the host.`,
    remedy: 'Give an IPv4 address that the host has, or none for all of them.',
    field: 'hostAddress',
  });
}

/** Whether two forwards of one port want the same packets. */
function clash(one: Pick<Forward, 'hostAddress'>, other: Pick<AddForward, 'hostAddress'>): boolean {
  return one.hostAddress === undefined || other.hostAddress === undefined || one.hostAddress === other.hostAddress;
}

function busy({ protocol, hostPort }: AddForward, taken: Forward): ApiError {
  return new ApiError('forward.port_busy', {
    detail: `${protocol} port ${hostPort} of the host leads to machine ${taken.machine} (forward ${taken.id}).`,
    remedy: 'Forward another port, or take that forward away.',
    field: 'hostPort',
  });
}

function unsupported({ name, kind }: Network): ApiError {
  return new ApiError('forward.unsupported', {
    detail: `Network "${name}" is of the kind ${kind}: no port of the host leads there.`,
    remedy: kind === 'isolated' ? 'Use a network of the kind nat.' : 'Use the address that the machine has there.',
  });
}

function tooMany({ name }: Network): ApiError {
  return new ApiError('forward.too_many', {
    detail: `Network "${name}" has ${MAX_NETWORK_FORWARDS} forwards, and can have no more.`,
    remedy: 'Take forwards away that are no longer needed.',
  });
}

function notFound({ name }: Network, id: string): ApiError {
  return new ApiError('forward.not_found', {
    detail: `Network "${name}" has no forward ${id}.`,
    remedy: 'List the forwards of the network: GET /v1/networks/{network}/forwards.',
  });
}
