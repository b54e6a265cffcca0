// SPDX-License-Identifier: Apache-2.0
import type { Labels } from '../common/names.js';
import type { Executor } from './database.js';

type Kind = 'machine' | 'image' | 'network' | 'volume';

/** Replaces the labels of a resource. */
export async function replaceLabels(db: Executor, kind: Kind, id: string, labels: Labels): Promise<void> {
  await removeLabels(db, kind, id);
  const rows = Object.entries(labels).map(([key, value]) => ({ kind, resource_id: id, key, value }));
  if (rows.length > 0) await db.insertInto('labels').values(rows).execute();
}

export async function removeLabels(db: Executor, kind: Kind, id: string): Promise<void> {
  await db.deleteFrom('labels').where('kind', '=', kind).where('resource_id', '=', id).execute();
}

/** Labels of several resources at once. */
export async function labelsOf(db: Executor, kind: Kind, ids: string[]): Promise<Map<string, Labels>> {
  const found = new Map<string, Labels>(ids.map((id) => [id, {}]));
  if (ids.length === 0) return found;
  const rows = await db.selectFrom('labels').selectAll().where('kind', '=', kind).where('resource_id', 'in', ids).orderBy('key').execute();
  for (const row of rows) {
    const labels = found.get(row.resource_id);
    if (labels !== undefined) labels[row.key] = row.value;
  }
  return found;
}

/** Ids of the resources that carry all these labels; undefined when no label is asked for. */
export function labelFilter(db: Executor, kind: Kind, labels: Labels) {
  return Object.entries(labels).map(([key, value]) =>
    db.selectFrom('labels').select('resource_id').where('kind', '=', kind).where('key', '=', key).where('value', '=', value),
  );
}
