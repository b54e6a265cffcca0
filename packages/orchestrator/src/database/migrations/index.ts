// SPDX-License-Identifier: Apache-2.0
import type { Kysely } from 'kysely';
import type { DialectName } from '../dialect.js';
import * as first from './0001-first.js';
import * as addresses from './0002-addresses.js';
import * as linkedVolumes from './0003-linked-volumes.js';
import * as machineNotes from './0004-machine-notes.js';
import * as pools from './0005-pools.js';
import * as volumes from './0006-volumes.js';
import * as networks from './0007-networks.js';

/** One change of the schema. Never edit one that was released; add the next. */
export interface NamedMigration {
  name: string;
  up(db: Kysely<never>, dialect: DialectName): Promise<void>;
}

export const MIGRATIONS: readonly NamedMigration[] = [
  { name: '0001-first', up: first.up },
  { name: '0002-addresses', up: addresses.up },
  { name: '0003-linked-volumes', up: linkedVolumes.up },
  { name: '0004-machine-notes', up: machineNotes.up },
  { name: '0005-pools', up: pools.up },
  { name: '0006-volumes', up: volumes.up },
  { name: '0007-networks', up: networks.up },
];
