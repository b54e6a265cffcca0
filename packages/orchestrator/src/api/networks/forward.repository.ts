// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Selectable } from 'kysely';
import { Database, type Executor } from '../../database/database.js';
import type { ForwardsTable } from '../../database/schema.js';
import type { Forward } from './network.js';

/** Where ports of the host that lead to machines are kept. Those of a machine go with its addresses. */
export abstract class ForwardRepository {
  abstract insert(forward: Forward, db: Executor): Promise<void>;
  abstract remove(id: string, db: Executor): Promise<void>;
  /** Of a network, in the order in which they were made. */
  abstract on(networkId: string, db?: Executor): Promise<Forward[]>;
  /** Of all networks, with that port. */
  abstract at(protocol: Forward['protocol'], hostPort: number, db: Executor): Promise<Forward[]>;
}

@Injectable()
export class KyselyForwardRepository extends ForwardRepository {
  constructor(private readonly database: Database) {
    super();
  }

  override async insert({ hostAddress, ...forward }: Forward, db: Executor): Promise<void> {
    await db
      .insertInto('forwards')
      .values({
        id: forward.id,
        network_id: forward.network,
        machine_id: forward.machine,
        interface: forward.interface,
        protocol: forward.protocol,
        host_address: hostAddress ?? null,
        host_port: forward.hostPort,
        guest_port: forward.guestPort,
        created_at: forward.createdAt,
      })
      .execute();
  }

  override async remove(id: string, db: Executor): Promise<void> {
    await db.deleteFrom('forwards').where('id', '=', id).execute();
  }

  override async on(networkId: string, db: Executor = this.database.db): Promise<Forward[]> {
    return (await db.selectFrom('forwards').selectAll().where('network_id', '=', networkId).orderBy('id').execute()).map(fromRow);
  }

  override async at(protocol: Forward['protocol'], hostPort: number, db: Executor): Promise<Forward[]> {
    const rows = await db.selectFrom('forwards').selectAll().where('protocol', '=', protocol).where('host_port', '=', hostPort).execute();
    return rows.map(fromRow);
  }
}

function fromRow(row: Selectable<ForwardsTable>): Forward {
  return {
    id: row.id,
    network: row.network_id,
    machine: row.machine_id,
    interface: row.interface,
    protocol: row.protocol as Forward['protocol'],
    ...(row.host_address === null ? {} : { hostAddress: row.host_address }),
    hostPort: row.host_port,
    guestPort: row.guest_port,
    createdAt: row.created_at,
  };
}
