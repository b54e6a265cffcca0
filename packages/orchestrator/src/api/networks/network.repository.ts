// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Selectable } from 'kysely';
import { parseIpv4 } from '../../common/ipv4.js';
import type { NamedPage } from '../../common/paging.js';
import { Database, type Executor } from '../../database/database.js';
import { isCalled, rowsOf } from '../../database/named.js';
import type { AddressesTable, NetworksTable } from '../../database/schema.js';
import type { Address, Network, NetworkState } from './network.js';

/** Where networks and the addresses on them are kept. */
export abstract class NetworkRepository {
  abstract insert(network: Network, db?: Executor): Promise<void>;
  abstract setState(id: string, state: NetworkState, db?: Executor): Promise<void>;
  abstract find(idOrName: string, db?: Executor): Promise<Network | undefined>;
  abstract page(request: NamedPage): Promise<Network[]>;
  abstract all(): Promise<Network[]>;
  /** Addresses in use on a network, ascending. */
  abstract addresses(networkId: string): Promise<Address[]>;
  /** Numbers of the addresses in use, ascending. */
  abstract usedNumbers(networkId: string, db: Executor): Promise<number[]>;
  abstract addressesOf(machineId: string, db?: Executor): Promise<Address[]>;
  abstract reserve(address: Address, db: Executor): Promise<void>;
  abstract releaseAll(machineId: string, db: Executor): Promise<void>;
}

@Injectable()
export class KyselyNetworkRepository extends NetworkRepository {
  constructor(private readonly database: Database) {
    super();
  }

  override async insert(network: Network, db: Executor = this.database.db): Promise<void> {
    const { ipv4, createdAt, ...row } = network;
    await db
      .insertInto('networks')
      .values({ ...row, subnet: ipv4.subnet, gateway: ipv4.gateway, dhcp_range: ipv4.dhcpRange, created_at: createdAt })
      .execute();
  }

  override async setState(id: string, state: NetworkState, db: Executor = this.database.db): Promise<void> {
    await db.updateTable('networks').set({ state }).where('id', '=', id).execute();
  }

  override async find(idOrName: string, db: Executor = this.database.db): Promise<Network | undefined> {
    const named = db.selectFrom('networks').selectAll();
    const row = await named.where((w) => isCalled(w, idOrName)).executeTakeFirst();
    return row === undefined ? undefined : fromRow(row);
  }

  override async page(request: NamedPage): Promise<Network[]> {
    return (await rowsOf(this.database.db.selectFrom('networks').selectAll(), request).execute()).map(fromRow);
  }

  override async all(): Promise<Network[]> {
    return (await this.database.db.selectFrom('networks').selectAll().orderBy('id').execute()).map(fromRow);
  }

  override async addresses(networkId: string): Promise<Address[]> {
    const rows = await this.database.db
      .selectFrom('addresses')
      .selectAll()
      .where('network_id', '=', networkId)
      .orderBy('ip_number')
      .execute();
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

  override async reserve(address: Address, db: Executor): Promise<void> {
    await db
      .insertInto('addresses')
      .values({
        network_id: address.network,
        ip: address.ip,
        ip_number: parseIpv4(address.ip) ?? 0,
        mac: address.mac,
        machine_id: address.machine,
        interface: address.interface,
      })
      .execute();
  }

  override async releaseAll(machineId: string, db: Executor): Promise<void> {
    await db.deleteFrom('addresses').where('machine_id', '=', machineId).execute();
  }
}

function fromRow(row: Selectable<NetworksTable>): Network {
  return {
    id: row.id,
    name: row.name,
    kind: 'nat',
    bridge: row.bridge,
    state: row.state as NetworkState,
    createdAt: row.created_at,
    ipv4: { subnet: row.subnet, gateway: row.gateway, dhcpRange: row.dhcp_range },
  };
}

function toAddress(row: Selectable<AddressesTable>): Address {
  return { network: row.network_id, ip: row.ip, mac: row.mac, machine: row.machine_id, interface: row.interface };
}
