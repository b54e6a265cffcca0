// SPDX-License-Identifier: Apache-2.0
import { Inject, Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { KeyedQueue } from '../../common/async.js';
import type { LabelledQuery } from '../../common/dto/list.dto.js';
import { newId } from '../../common/ids.js';
import { formatIpv4, parseIpv4 } from '../../common/ipv4.js';
import { LOG, type Log } from '../../common/log.js';
import { labelledPage, type Page, toPage } from '../../common/paging.js';
import { Database, type Executor, isUniqueViolation } from '../../database/database.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import { type AddressHolder, AddressHolders } from './address-holders.js';
import type { NetworkForwardDto } from './dto/forward.dto.js';
import type { NetworkDto } from './dto/network.dto.js';
import { ForwardRepository } from './forward.repository.js';
import { addressIn, planAddresses, rangeOf } from './network-addresses.js';
import { AddressTaken, NetworkNotFound } from './network.errors.js';
import { type Address, DEFAULT_NETWORK, type Lease, type Network, newNetwork } from './network.js';
import { NetworkRepository } from './network.repository.js';

@Injectable()
export class NetworksService {
  private readonly queue = new KeyedQueue();

  constructor(
    private readonly repository: NetworkRepository,
    private readonly holders: AddressHolders,
    private readonly database: Database,
    private readonly agent: HostAgent,
    private readonly forwards: ForwardRepository,
    @Inject(LOG) private readonly log: Log,
  ) {}

  async list(query: LabelledQuery): Promise<Page<NetworkDto>> {
    const request = labelledPage(query);
    // Why it cannot be made is for whoever uses it to hear: the others are listed all the same.
    await this.makeDefault().catch(() => undefined);
    const page = toPage(
      await this.repository.page(request),
      request.limit,
      (network) => network.id,
      (network) => network,
    );
    return { ...page, items: await Promise.all(page.items.map((network) => this.toDto(network))) };
  }

  async get(idOrName: string): Promise<NetworkDto> {
    return this.toDto(await this.load(idOrName));
  }

  /** A network by id or name; with a field the error belongs to a body. */
  async load(idOrName: string, field?: string, db?: Executor): Promise<Network> {
    if (idOrName === DEFAULT_NETWORK && db === undefined) await this.makeDefault();
    const network = await this.repository.find(idOrName, db);
    if (network !== undefined) return network;
    throw new NetworkNotFound(idOrName, field);
  }

  /** Makes the default network the first time: a subnet that clashes with none of the host's. */
  async makeDefault(): Promise<void> {
    await this.queue.run(DEFAULT_NETWORK, async () => {
      if ((await this.repository.find(DEFAULT_NETWORK)) !== undefined) return;
      const routes = await this.agent.usedSubnets();
      await this.database.write(async (tx) => {
        const ipv4 = planAddresses('nat', {}, { networks: await this.repository.all(tx.db), routes });
        const network = newNetwork(newId('net'), { name: DEFAULT_NETWORK, kind: 'nat' }, { ipv4 });
        await this.repository.insert({ ...network, bridge: bridgeName(ipv4.subnet) }, tx.db);
      });
    });
  }

  /** Reserves an address for an interface, the one that it asks for or else the lowest that is free, in the transaction that makes its machine. */
  async reserve(
    network: Network,
    owner: { machine: string; interface: string; mac: string; wanted?: string | undefined },
    field: string,
    db: Executor,
  ): Promise<Address> {
    // Until the machine is stored nothing keeps its networks: one may have been deleted since the machine was planned.
    if ((await this.repository.find(network.id, db)) === undefined) throw new NetworkNotFound(network.name, `${field}.network`);
    const used = await this.repository.usedNumbers(network.id, db);
    const { wanted, ...holder } = owner;
    const number = wanted === undefined ? chooseNumber(network, used) : await this.wantedNumber(network, wanted, field, db);
    if (number === undefined) {
      throw new ApiError('network.full', {
        detail: `Network "${network.name}" has no free address.`,
        remedy: 'Delete machines that are no longer needed.',
        field,
      });
    }
    const address = { ...holder, network: network.id, ip: number < 0 ? '' : formatIpv4(number) };
    try {
      await this.repository.reserve(address, db, number);
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
      throw new ApiError('network.mac_taken', {
        detail: `The MAC address ${owner.mac} is in use on network "${network.name}".`,
        remedy: 'Give another MAC address, or none to have one made.',
        field: `${field}.mac`,
      });
    }
    return address;
  }

  /** The number of an address that nobody else has. */
  private async wantedNumber(network: Network, wanted: string, field: string, db: Executor): Promise<number> {
    const number = addressIn(network, wanted, `${field}.address`);
    const holder = (await this.repository.addresses(network.id, db)).find(({ ip }) => parseIpv4(ip) === number);
    if (holder === undefined) return number;
    throw new AddressTaken(network, wanted, holder.machine, `${field}.address`);
  }

  /** Brings a network on the host to what is stored: bridge, rules, DHCP and DNS with all reservations. */
  async ensureOnHost(id: string): Promise<void> {
    await this.queue.run(id, async () => {
      const network = await this.load(id);
      await this.makeOnHost(network);
      if (network.state === 'ready') return;
      await this.database.write(async (tx) => {
        await this.repository.setState(id, 'ready', tx.db);
        tx.emit({ kind: 'network.ready', target: { kind: 'network', id, name: network.name }, data: { bridge: network.bridge } });
      });
    });
  }

  /** Ids of the networks that were brought to the host. */
  async idsOnHost(): Promise<string[]> {
    return (await this.repository.all()).filter(({ state }) => state === 'ready').map(({ id }) => id);
  }

  /** Makes anew what the host has lost of a network that machines use; one that nobody uses, or that was never made, is left alone. */
  async mendOnHost(id: string): Promise<void> {
    await this.queue.run(id, async () => {
      const network = await this.repository.find(id);
      if (network?.state !== 'ready' || (await this.repository.addresses(id)).length === 0) return;
      await this.makeOnHost(network);
    });
  }

  /**
   * Brings the host to what is stored of a network now, if it has it. When that fails, it is for the reconcilers, which try again until
   * it is so.
   */
  async settle(id: string, act = () => this.mendOnHost(id)): Promise<void> {
    await act().catch((error: unknown) => this.log.warn({ err: error, network: id }, 'a change of a network has not reached the host yet'));
  }

  /** The ports of the host that lead to machines on a network. */
  async forwardsOf(id: string): Promise<NetworkForwardDto[]> {
    const addresses = await this.repository.addresses(id);
    return (await this.forwards.on(id)).flatMap(({ network: _network, ...forward }) => {
      const at = addresses.find((one) => one.machine === forward.machine && one.interface === forward.interface);
      return at === undefined ? [] : [{ ...forward, address: at.ip }]; // deleted between the two questions
    });
  }

  /** Takes networks that no machine uses off the host; answers the ids of those in use. */
  async releaseUnused(): Promise<string[]> {
    const used: string[] = [];
    for (const network of await this.repository.all()) {
      const inUse = await this.queue.run(network.id, async () => {
        if ((await this.repository.addresses(network.id)).length > 0) return true;
        if (network.state === 'pending') return false;
        await this.agent.removeNetwork({ id: network.id });
        await this.repository.setState(network.id, 'pending');
        return false;
      });
      if (inUse) used.push(network.id);
    }
    return used;
  }

  /** Takes a network off the host that is stored no more. */
  async takeFromHost(id: string): Promise<void> {
    await this.queue.run(id, () => this.agent.removeNetwork({ id }));
  }

  private async makeOnHost({
    id,
    name,
    kind,
    bridge,
    hostBridge = '',
    ipv4,
    mtu,
    domain,
    isolateMachines,
    antiSpoofing,
  }: Network): Promise<void> {
    if (kind === 'bridge' || ipv4 === undefined) return this.agent.ensureNetwork({ id, name, kind: 'bridge', hostBridge });
    const reservations = (await this.heldAddresses(id)).map(([{ mac, ip, machine, interface: name }, holder]) => ({
      mac,
      ip,
      hostname: holder.name,
      machineId: machine,
      interface: name,
    }));
    const forwards = (await this.forwardsOf(id)).map(({ protocol, hostAddress, hostPort, address, guestPort }) => ({
      protocol,
      ...(hostAddress === undefined ? {} : { hostAddress }),
      hostPort,
      address,
      guestPort,
    }));
    const extras = { ...(mtu === undefined ? {} : { mtu }), ...(forwards.length === 0 ? {} : { forwards }) };
    await this.agent.ensureNetwork({ id, name, kind, bridge, domain, isolateMachines, antiSpoofing, ...ipv4, ...extras, reservations });
  }

  private async toDto(network: Network): Promise<NetworkDto> {
    const { hostBridge, ...shown } = network;
    const held = (await this.heldAddresses(network.id)).filter(([{ ip }]) => ip !== '');
    return { ...shown, bridge: hostBridge ?? shown.bridge, leases: held.map(([address, holder]) => toLease(address, holder)) };
  }

  /** The addresses of a network with the machines they belong to. */
  private async heldAddresses(networkId: string): Promise<[Address, AddressHolder][]> {
    const addresses = await this.repository.addresses(networkId);
    const holders = await this.holders.find([...new Set(addresses.map(({ machine }) => machine))]);
    return addresses.flatMap((address): [Address, AddressHolder][] => {
      const holder = holders.get(address.machine);
      return holder === undefined ? [] : [[address, holder]]; // deleted between the two questions
    });
  }
}

function toLease({ mac, ip, machine, interface: name }: Address, holder: AddressHolder): Lease {
  const expiresAt = holder.heldUntil.get(name);
  const taken = expiresAt !== undefined && Date.parse(expiresAt) > Date.now();
  return { mac, ip, hostname: holder.name, machine, ...(taken ? { state: 'taken' as const, expiresAt } : { state: 'reserved' as const }) };
}

/** `flo-<n>` by the place of the subnet in the range we choose from: unique on the host as the subnet is. */
function bridgeName(subnet: string): string {
  const [, second = 77, third = 0] = subnet.split('.').map((part) => Number.parseInt(part, 10));
  return `flo-${(second - 77) * 256 + third}`;
}

/** The lowest free address; where none is ours to give, a number below all addresses that nothing else has. */
function chooseNumber({ ipv4 }: Network, used: readonly number[]): number | undefined {
  if (ipv4 === undefined) return Math.min(0, ...used.slice(0, 1)) - 1;
  return freeNumber(rangeOf(ipv4.dhcpRange), new Set(used).add(parseIpv4(ipv4.gateway) ?? 0));
}

function freeNumber([first, last]: readonly [number, number], used: ReadonlySet<number>): number | undefined {
  for (let number = first; number <= last; number += 1) if (!used.has(number)) return number;
  return undefined;
}
