// SPDX-License-Identifier: Apache-2.0
import type { Generated } from 'kysely';

// One schema for SQLite and PostgreSQL: times are ISO 8601 texts (UTC), objects are JSON texts, booleans are 0 and 1.

export interface MetaTable {
  key: string;
  value: string;
}
export interface KeysTable {
  id: string;
  name: string;
  role: string;
  secret_hash: string;
  created_at: string;
}
export interface LabelsTable {
  kind: string;
  resource_id: string;
  key: string;
  value: string;
}
export interface MachinesTable {
  id: string;
  name: string;
  notes: string;
  protected: number;
  generation: number;
  spec: string;
  desired_state: string;
  desired_generation: number;
  observed_state: string;
  observed: string;
  created_at: string;
  updated_at: string;
}
export interface ImagesTable {
  id: string;
  name: string;
  kind: string;
  format: string;
  size_bytes: number;
  sha256: string;
  state: string;
  source: string;
  created_at: string;
}
/** Which image a machine boots from: keeps images from being deleted under it. */
export interface MachineImagesTable {
  machine_id: string;
  image_id: string;
}
export interface VolumesTable {
  id: string;
  name: string;
  /** Name of its pool. */
  pool: string;
  size_bytes: number;
  format: string;
  /** The image that a linked volume reads what its guest has not written, or that a shared one is: keeps it from being deleted. */
  backing_image: string | null;
  machine_id: string | null;
  state: string;
  generation: Generated<number>;
  /** The image or volume that it is copied from while it is made, which is kept as it is meanwhile. */
  source_id: string | null;
  created_at: string;
}
export interface PoolsTable {
  id: string;
  name: string;
  kind: string;
  /** Where it is; absent of the one that every installation has. */
  config: string | null;
  autostart: number;
  guard_percent: number;
  overcommit_ratio: number | null;
  generation: number;
  desired_state: string;
  observed: string;
  created_at: string;
  updated_at: string;
}
export interface NetworksTable {
  id: string;
  name: string;
  kind: string;
  subnet: string;
  gateway: string;
  dhcp_range: string;
  bridge: string;
  state: string;
  /** What else was asked for. */
  config: string;
  generation: number;
  created_at: string;
  updated_at: string;
}
export interface ForwardsTable {
  id: string;
  network_id: string;
  machine_id: string;
  interface: string;
  protocol: string;
  host_address: string | null;
  host_port: number;
  guest_port: number;
  created_at: string;
}
export interface AddressesTable {
  network_id: string;
  ip: string;
  ip_number: number;
  mac: string;
  machine_id: string;
  interface: string;
}
export interface OperationsTable {
  id: string;
  kind: string;
  target_kind: string;
  target_id: string;
  target_name: string | null;
  state: string;
  phase: string;
  steps: string;
  input: string;
  progress: string | null;
  result: string | null;
  error: string | null;
  cancel_requested: number;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  requested_by: string;
  request_id: string | null;
}
export interface EventsTable {
  seq: Generated<number>;
  kind: string;
  time: string;
  target_kind: string;
  target_id: string;
  target_name: string | null;
  data: string;
  request_id: string | null;
}
export interface AuditTable {
  id: string;
  time: string;
  actor: string;
  actor_id: string | null;
  permission: string;
  method: string;
  path: string;
  outcome: string;
  status: number;
  code: string | null;
  request_id: string;
}
export interface IdempotencyTable {
  principal: string;
  key: string;
  fingerprint: string;
  state: string;
  status: number | null;
  body: string | null;
  request_id: string;
  created_at: string;
}

export interface Schema {
  meta: MetaTable;
  keys: KeysTable;
  labels: LabelsTable;
  machines: MachinesTable;
  images: ImagesTable;
  machine_images: MachineImagesTable;
  volumes: VolumesTable;
  pools: PoolsTable;
  networks: NetworksTable;
  addresses: AddressesTable;
  forwards: ForwardsTable;
  operations: OperationsTable;
  events: EventsTable;
  audit: AuditTable;
  idempotency: IdempotencyTable;
}
