// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { type Selectable, sql } from 'kysely';
import type { Labels } from '../../common/names.js';
import type { LabelledPage } from '../../common/paging.js';
import { Database, type Executor } from '../../database/database.js';
import { isCalled, rowsOf } from '../../database/named.js';
import { labelFilter, labelsOf, removeLabels, replaceLabels } from '../../database/labels.js';
import type { MachinesTable } from '../../database/schema.js';
import type { DesiredState, Machine, MachineSpec, MachineState, Observed } from './machine.js';
import { MachineRepository } from './machine.repository.js';

/** Ids in one query: databases bound the values of a statement. */
const MAX_IDS = 1000;

@Injectable()
export class KyselyMachineRepository extends MachineRepository {
  constructor(private readonly database: Database) {
    super();
  }

  override async insert(machine: Machine, imageIds: string[], db: Executor): Promise<void> {
    await db
      .insertInto('machines')
      .values({ id: machine.id, created_at: machine.createdAt, ...columns(machine) })
      .execute();
    await replaceLabels(db, 'machine', machine.id, machine.labels);
    const images = [...new Set(imageIds)].map((image) => ({ machine_id: machine.id, image_id: image }));
    if (images.length > 0) await db.insertInto('machine_images').values(images).execute();
  }

  override async save(machine: Machine, db: Executor): Promise<void> {
    await db.updateTable('machines').set(columns(machine)).where('id', '=', machine.id).execute();
    await replaceLabels(db, 'machine', machine.id, machine.labels);
  }

  override async remove(id: string, db: Executor): Promise<void> {
    await removeLabels(db, 'machine', id);
    await db.deleteFrom('machine_images').where('machine_id', '=', id).execute();
    await db.deleteFrom('machines').where('id', '=', id).execute();
  }

  override async find(idOrName: string, db: Executor = this.database.db): Promise<Machine | undefined> {
    const named = db.selectFrom('machines').selectAll();
    const row = await named.where((w) => isCalled(w, idOrName)).executeTakeFirst();
    return row === undefined ? undefined : (await this.withLabels([row], db))[0];
  }

  override async page(request: LabelledPage): Promise<Machine[]> {
    let query = rowsOf(this.database.db.selectFrom('machines').selectAll(), request);
    for (const filter of labelFilter(this.database.db, 'machine', request.labels)) query = query.where('id', 'in', filter);
    return this.withLabels(await query.execute(), this.database.db);
  }

  override async ids(): Promise<string[]> {
    return (await this.database.db.selectFrom('machines').select('id').execute()).map((row) => row.id);
  }

  override async inStates(states: readonly MachineState[]): Promise<{ id: string; state: MachineState }[]> {
    const rows = await this.database.db
      .selectFrom('machines')
      .select(['id', 'observed_state'])
      .where('observed_state', 'in', states)
      .execute();
    return rows.map((row) => ({ id: row.id, state: row.observed_state as MachineState }));
  }

  override async observed(ids: readonly string[]): Promise<Pick<Machine, 'id' | 'name' | 'observed'>[]> {
    const found: Pick<Machine, 'id' | 'name' | 'observed'>[] = [];
    for (let at = 0; at < ids.length; at += MAX_IDS) {
      const rows = await this.database.db
        .selectFrom('machines')
        .select(['id', 'name', 'observed'])
        .where('id', 'in', ids.slice(at, at + MAX_IDS))
        .execute();
      found.push(...rows.map(({ id, name, observed }) => ({ id, name, observed: JSON.parse(observed) as Observed })));
    }
    return found;
  }

  override async active(): Promise<Machine[]> {
    const rows = await this.database.db
      .selectFrom('machines')
      .selectAll()
      .where((w) => w.or([w('desired_state', '!=', 'stopped'), w('observed_state', 'not in', ['stopped', 'failed'])]))
      .orderBy('id')
      .execute();
    return this.withLabels(rows, this.database.db);
  }

  override async memoryHeld(except: string, db: Executor): Promise<number> {
    const postgres = this.database.dialect === 'postgres';
    const memory = postgres
      ? sql<number>`(spec::json ->> 'memoryMiB')::bigint`
      : sql<number>`CAST(json_extract(spec, '$.memoryMiB') AS INTEGER)`;
    const nextRestart = postgres ? sql`observed::json ->> 'nextRestartAt'` : sql`json_extract(observed, '$.nextRestartAt')`;
    const row = await db
      .selectFrom('machines')
      .select((w) => w.fn.sum(memory).as('sum'))
      .where((w) =>
        w.or([
          w('observed_state', 'not in', ['creating', 'stopped', 'failed']),
          w.and([w('desired_state', '!=', 'stopped'), w.or([w('observed_state', '=', 'creating'), w(nextRestart, 'is not', null)])]),
        ]),
      )
      .where('id', '!=', except)
      .executeTakeFirst();
    return Number(row?.sum ?? 0);
  }

  override async countByState(): Promise<Record<string, number>> {
    const rows = await this.database.db
      .selectFrom('machines')
      .select((w) => ['observed_state', w.fn.countAll().as('count')])
      .groupBy('observed_state')
      .execute();
    return Object.fromEntries(rows.map((row) => [row.observed_state, Number(row.count)]));
  }

  private async withLabels(rows: Selectable<MachinesTable>[], db: Executor): Promise<Machine[]> {
    const labels = await labelsOf(
      db,
      'machine',
      rows.map((row) => row.id),
    );
    return rows.map((row) => fromRow(row, labels.get(row.id) ?? {}));
  }
}

/** What machines are that were stored before there were profiles. */
const BEFORE_PROFILES = { profile: 'standard', acpi: true } as const;
type StoredSpec = Omit<MachineSpec, keyof typeof BEFORE_PROFILES> & Partial<MachineSpec>;

function columns(machine: Machine) {
  return {
    name: machine.name,
    notes: machine.notes,
    protected: Number(machine.protected),
    generation: machine.generation,
    spec: JSON.stringify(machine.spec),
    desired_state: machine.desired.state,
    desired_generation: machine.desired.generation,
    observed_state: machine.observed.state,
    observed: JSON.stringify(machine.observed),
    updated_at: machine.updatedAt,
  };
}

function fromRow(row: Selectable<MachinesTable>, labels: Labels): Machine {
  return {
    id: row.id,
    name: row.name,
    labels,
    notes: row.notes,
    protected: row.protected === 1,
    generation: row.generation,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    spec: { ...BEFORE_PROFILES, ...(JSON.parse(row.spec) as StoredSpec) },
    desired: { state: row.desired_state as DesiredState, generation: row.desired_generation },
    observed: JSON.parse(row.observed) as Observed,
  };
}
