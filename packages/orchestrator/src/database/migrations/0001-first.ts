// SPDX-License-Identifier: Apache-2.0
import { type CreateTableBuilder, type Kysely, sql } from 'kysely';
import type { DialectName } from '../dialect.js';

type Columns = Record<string, string>;

const TABLES: Record<string, Columns> = {
  meta: { key: 'text primary key', value: 'text' },
  keys: { id: 'text primary key', name: 'text unique', role: 'text', secret_hash: 'text', created_at: 'text' },
  labels: { kind: 'text', resource_id: 'text', key: 'text', value: 'text' },
  machines: {
    id: 'text primary key',
    name: 'text unique',
    generation: 'bigint',
    spec: 'text',
    desired_state: 'text',
    desired_generation: 'bigint',
    observed_state: 'text',
    observed: 'text',
    created_at: 'text',
    updated_at: 'text',
  },
  images: {
    id: 'text primary key',
    name: 'text unique',
    kind: 'text',
    format: 'text',
    size_bytes: 'bigint',
    sha256: 'text',
    state: 'text',
    source: 'text',
    created_at: 'text',
  },
  machine_images: { machine_id: 'text', image_id: 'text' },
  volumes: {
    id: 'text primary key',
    name: 'text',
    pool: 'text',
    size_bytes: 'bigint',
    format: 'text',
    machine_id: 'text null',
    state: 'text',
    created_at: 'text',
  },
  networks: {
    id: 'text primary key',
    name: 'text unique',
    kind: 'text',
    subnet: 'text',
    gateway: 'text',
    dhcp_range: 'text',
    bridge: 'text unique',
    state: 'text',
    created_at: 'text',
  },
  addresses: { network_id: 'text', ip: 'text', ip_number: 'bigint', mac: 'text', machine_id: 'text', interface: 'text' },
  operations: {
    id: 'text primary key',
    kind: 'text',
    target_kind: 'text',
    target_id: 'text',
    target_name: 'text null',
    state: 'text',
    phase: 'text',
    steps: 'text',
    input: 'text',
    progress: 'text null',
    result: 'text null',
    error: 'text null',
    cancel_requested: 'integer',
    created_at: 'text',
    started_at: 'text null',
    ended_at: 'text null',
    requested_by: 'text',
    request_id: 'text null',
  },
  events: {
    seq: 'sequence',
    kind: 'text',
    time: 'text',
    target_kind: 'text',
    target_id: 'text',
    target_name: 'text null',
    data: 'text',
    request_id: 'text null',
  },
  audit: {
    id: 'text primary key',
    time: 'text',
    actor: 'text',
    actor_id: 'text null',
    permission: 'text',
    method: 'text',
    path: 'text',
    outcome: 'text',
    status: 'integer',
    code: 'text null',
    request_id: 'text',
  },
  idempotency: {
    principal: 'text',
    key: 'text',
    fingerprint: 'text',
    state: 'text',
    status: 'integer null',
    body: 'text null',
    request_id: 'text',
    created_at: 'text',
  },
};

const INDEXES: [name: string, table: string, unique: boolean, columns: string[]][] = [
  ['labels_once', 'labels', true, ['kind', 'resource_id', 'key']],
  ['labels_by_value', 'labels', false, ['kind', 'key', 'value']],
  ['machine_images_once', 'machine_images', true, ['machine_id', 'image_id']],
  ['machine_images_by_image', 'machine_images', false, ['image_id']],
  ['volumes_by_machine', 'volumes', false, ['machine_id']],
  ['addresses_ip', 'addresses', true, ['network_id', 'ip_number']],
  ['addresses_mac', 'addresses', true, ['network_id', 'mac']],
  ['addresses_by_machine', 'addresses', false, ['machine_id']],
  ['operations_by_target', 'operations', false, ['target_id', 'state']],
  ['operations_by_state', 'operations', false, ['state']],
  ['operations_by_request', 'operations', false, ['request_id']],
  ['audit_by_outcome', 'audit', false, ['outcome', 'id']],
  ['idempotency_once', 'idempotency', true, ['principal', 'key']],
];

function addColumn(table: CreateTableBuilder<string>, name: string, kind: string, dialect: DialectName): CreateTableBuilder<string> {
  if (kind === 'sequence') {
    return dialect === 'sqlite'
      ? table.addColumn(name, 'integer', (c) => c.primaryKey().autoIncrement())
      : table.addColumn(name, 'bigserial', (c) => c.primaryKey());
  }
  const [type, ...flags] = kind.split(' ');
  return table.addColumn(name, sql.raw(type ?? 'text'), (column) => {
    let built = flags.includes('null') ? column : column.notNull();
    if (flags.includes('primary')) built = built.primaryKey();
    if (flags.includes('unique')) built = built.unique();
    return built;
  });
}

/** The first form of the database. */
export async function up(db: Kysely<never>, dialect: DialectName): Promise<void> {
  for (const [name, columns] of Object.entries(TABLES)) {
    let table: CreateTableBuilder<string> = db.schema.createTable(name) as unknown as CreateTableBuilder<string>;
    for (const [column, kind] of Object.entries(columns)) table = addColumn(table, column, kind, dialect);
    await table.execute();
  }
  for (const [name, table, unique, columns] of INDEXES) {
    const index = db.schema
      .createIndex(name)
      .on(table as never)
      .columns(columns as never[]);
    await (unique ? index.unique() : index).execute();
  }
}
