// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Selectable } from 'kysely';
import { parseIpv4 } from '../../common/ipv4.js';
import { DEFAULT_DOMAIN, type NetworkKind } from '../../common/network.js';
import type { Labels } from '../../common/names.js';
import type { LabelledPage } from '../../common/paging.js';
import { Database, type Executor } from '../../database/database.js';
import { labelFilter, labelsOf, removeLabels, replaceLabels } from '../../database/labels.js';
import { isCalled, rowsOf } from '../../database/named.js';
import type { AddressesTable, NetworksTable } from '../../database/schema.js';
import type { Address, Network, NetworkState } from './network.js';

/** Where networks and the addresses on them are kept. */
export abstract class NetworkRepository {
  abstract insert(network: Network, db: Executor): Promise<void>;
  /** Stores what can be changed. */
  abstract save(network: Network, db: Executor): Promise<void>;
  abstract remove(id: string, db: Executor): Promise<void>;
  abstract setState(id: string, state: NetworkState, db?: Executor): Promise<void>;
  abstract find(idOrName: string, db?: Executor): Promise<Network | undefined>;
  abstract page(request: LabelledPage): Promise<Network[]>;
  abstract all(db?: Executor): Promise<Network[]>;
  /** Names of the machines that are on a network. */
  abstract machinesOn(id: string, db: Executor): Promise<string[]>;
  /** Addresses in use on a network, ascending. */
  abstract addresses(networkId: string, db?: Executor): Promise<Address[]>;
  /** Numbers of the addresses in use, ascending. */
  abstract usedNumbers(networkId: string, db: Executor): Promise<number[]>;
  abstract addressesOf(machineId: string, db?: Executor): Promise<Address[]>;
  /** `number`: in place of that of the address, where there is none. */
  abstract reserve(address: Address, db: Executor, number?: number): Promise<void>;
  /** Takes back the addresses of a machine, and the ports that lead to them. */
  abstract releaseAll(machineId: string, db: Executor): Promise<void>;
}

@Injectable()
export class KyselyNetworkRepository extends NetworkRepository {
  constructor(private readonly database: Database) {
    super();
  }

  override async insert(network: Network, db: Executor): Promise<void> {
    await db.insertInto('networks').values(toRow(network)).execute();
    await replaceLabels(db, 'network', network.id, network.labels);
  }

  override async save(network: Network, db: Executor): Promise<void> {
    const { config, generation, updated_at } = toRow(network);
    await db.updateTable('networks').set({ config, generation, updated_at }).where('id', '=', network.id).execute();
    await replaceLabels(db, 'network', network.id, network.labels);
  }

  override async remove(id: string, db: Executor): Promise<void> {
    await removeLabels(db, 'network', id);
    await db.deleteFrom('networks').where('id', '=', id).execute();
  }

  override async setState(id: string, state: NetworkState, db: Executor = this.database.db): Promise<void> {
    await db.updateTable('networks').set({ state }).where('id', '=', id).execute();
  }

  override async find(idOrName: string, db: Executor = this.database.db): Promise<Network | undefined> {
    const named = db.selectFrom('networks').selectAll();
    const row = await named.where((w) => isCalled(w, idOrName)).executeTakeFirst();
    return row === undefined ? undefined : (await withLabels([row], db))[0];
  }

  override async page(request: LabelledPage): Promise<Network[]> {
    let query = rowsOf(this.database.db.selectFrom('networks').selectAll(), request);
    for (const filter of labelFilter(this.database.db, 'network', request.labels)) query = query.where('id', 'in', filter);
    return withLabels(await query.execute(), this.database.db);
  }

  override async all(db: Executor = this.database.db): Promise<Network[]> {
    return withLabels(await db.selectFrom('networks').selectAll().orderBy('id').execute(), db);
  }

  override async machinesOn(id: string, db: Executor): Promise<string[]> {
    const rows = await db
      .selectFrom('addresses')
      .innerJoin('machines', 'machines.id', 'addresses.machine_id')
      .select('machines.name')
      .distinct()
      .where('network_id', '=', id)
      .orderBy('machines.name')
      .execute();
    return rows.map((row) => row.name);
  }

  override async addresses(networkId: string, db: Executor = this.database.db): Promise<Address[]> {
    const rows = await db.selectFrom('addresses').selectAll().where('network_id', '=', networkId).orderBy('ip_number').execute();
    return rows.map(toAddress);
  }

  override async usedNumbers(networkId: string, db: Executor): Promise<number[]> {
    return (await db.selectFrom('addresses').select('ip_number').where('network_id', '=', networkId).orderBy('ip_number').execute()).map(
      (row) => row.ip_number,
    );
  }

  override async addressesOf(machineId: string, db: Executor = this.database.db): Promise<Address[]> {
    const rows = await db.selectFrom('addresses').selectAll().where('machine_id', '=', machineId).execute();
    return rows.map(toAddress);
  }

  override async reserve(address: Address, db: Executor, number = parseIpv4(address.ip) ?? 0): Promise<void> {
    await db
      .insertInto('addresses')
      .values({
        network_id: address.network,
        ip: address.ip,
        ip_number: number,
        mac: address.mac,
        machine_id: address.machine,
        interface: address.interface,
      })
      .execute();
  }

  override async releaseAll(machineId: string, db: Executor): Promise<void> {
    await db.deleteFrom('forwards').where('machine_id', '=', machineId).execute();
    await db.deleteFrom('addresses').where('machine_id', '=', machineId).execute();
  }
}

/** What is kept as JSON. */
type Config = Partial<Pick<Network, 'mtu' | 'domain' | 'hostBridge' | 'isolateMachines' | 'antiSpoofing'>>;

async function withLabels(rows: Selectable<NetworksTable>[], db: Executor): Promise<Network[]> {
  const labels = await labelsOf(
    db,
    'network',
    rows.map((row) => row.id),
  );
  return rows.map((row) => fromRow(row, labels.get(row.id) ?? {}));
}

function toRow(network: Network): NetworksTable {
  const { id, name, kind, ipv4, bridge, hostBridge, state, generation, mtu, domain, isolateMachines, antiSpoofing } = network;
  const config: Config = {
    domain,
    isolateMachines,
    antiSpoofing,
    ...(mtu === undefined ? {} : { mtu }),
    ...(hostBridge === undefined ? {} : { hostBridge }),
  };
  return {
    id,
    name,
    kind,
    subnet: ipv4?.subnet ?? '',
    gateway: ipv4?.gateway ?? '',
    dhcp_range: ipv4?.dhcpRange ?? '',
    bridge,
    state,
    config: JSON.stringify(config),
    generation,
    created_at: network.createdAt,
    updated_at: network.updatedAt,
  };
}

function fromRow(row: Selectable<NetworksTable>, labels: Labels): Network {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind as NetworkKind,
    ...(row.subnet === '' ? {} : { ipv4: { subnet: row.subnet, gateway: row.gateway, dhcpRange: row.dhcp_range } }),
    bridge: row.bridge,
    domain: DEFAULT_DOMAIN,
    isolateMachines: false,
    antiSpoofing: false,
    ...(JSON.parse(row.config) as Config),
    labels,
    state: row.state as NetworkState,
    generation: row.generation,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

function toAddress(row: Selectable<AddressesTable>): Address {
  return { network: row.network_id, ip: row.ip, mac: row.mac, machine: row.machine_id, interface: row.interface };
}
