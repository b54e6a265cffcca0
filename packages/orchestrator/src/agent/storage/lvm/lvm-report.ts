// SPDX-License-Identifier: Apache-2.0
// What vgs and lvs say in JSON (lvmreport(7)), with sizes in bytes.
import type { LogicalVolume, VolumeGroup } from './logical-volumes.js';

/** How they are asked. All fields are of groups or volumes and not of segments, so that each has one row. */
export const REPORT = ['--reportformat', 'json', '--units', 'b', '--nosuffix'];
export const GROUP_FIELDS = 'vg_name,vg_size,vg_free,vg_extent_size,vg_tags';
export const VOLUME_FIELDS = `${GROUP_FIELDS},lv_name,lv_size,lv_attr,pool_lv,data_percent,metadata_percent,lv_tags,lv_health_status`;

type Row = Readonly<Record<string, unknown>>;

/** The group of that name, without its volumes, in a report of groups or of volumes. `undefined`: it is not there. Throws on what is no report. */
export function parseGroup(text: string, name: string): Omit<VolumeGroup, 'volumes'> | undefined {
  const row = [...rowsOf(text, 'vg'), ...rowsOf(text, 'lv')].find((one) => one['vg_name'] === name);
  if (row === undefined) return undefined;
  const extentBytes = bytes(row, 'vg_extent_size');
  if (extentBytes === 0) throw new Error('vg_extent_size is 0');
  return { name, sizeBytes: bytes(row, 'vg_size'), freeBytes: bytes(row, 'vg_free'), extentBytes, tags: tags(row, 'vg_tags') };
}

/** The volumes of a report. Throws on what is no report. */
export function parseVolumes(text: string): LogicalVolume[] {
  return rowsOf(text, 'lv').map(volumeOf);
}

function volumeOf(row: Row): LogicalVolume {
  const name = string(row, 'lv_name');
  const attributes = string(row, 'lv_attr');
  // Ten characters in lvs(8); older programs had fewer.
  if (name === '' || attributes.length < 9) throw new Error(`lv_attr is ${JSON.stringify(attributes)}`);
  const [type, , , , state, , , zero] = attributes;
  const pool = string(row, 'pool_lv');
  const dataPercent = percent(row, 'data_percent');
  const metadataPercent = percent(row, 'metadata_percent');
  return {
    name,
    sizeBytes: bytes(row, 'lv_size'),
    role: type === 't' ? 'thin-pool' : type === 'V' ? 'thin' : 'other',
    ...(type === 'o' || type === 'O' ? { hasSnapshots: true as const } : {}),
    ...(pool === '' ? {} : { pool }),
    tags: tags(row, 'lv_tags'),
    active: state !== '-' && state !== 'd' && state !== 'i',
    zeroes: zero === 'z',
    ...(dataPercent === undefined ? {} : { dataPercent }),
    ...(metadataPercent === undefined ? {} : { metadataPercent }),
    health: healthOf(string(row, 'lv_health_status'), state),
  };
}

/** `suspended` after a program was killed counts as failed: whoever reads there waits. */
function healthOf(status: string, state: string | undefined): LogicalVolume['health'] {
  if (status === 'out_of_data') return 'full';
  return status === 'failed' || status === 'metadata_read_only' || status === 'partial' || state === 's' || state === 'S'
    ? 'failed'
    : 'well';
}

function rowsOf(text: string, kind: 'vg' | 'lv'): Row[] {
  const parsed: unknown = JSON.parse(text);
  const reports = isRow(parsed) ? parsed['report'] : undefined;
  if (!Array.isArray(reports)) throw new Error('There is no report');
  return reports.flatMap((report: unknown) => {
    const rows = isRow(report) ? report[kind] : undefined;
    if (rows === undefined) return [];
    if (!Array.isArray(rows) || !rows.every(isRow)) throw new Error(`${kind} is no list of rows`);
    return rows;
  });
}

function isRow(value: unknown): value is Row {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field that is not there is empty, as one that has no value. */
function string(row: Row, field: string): string {
  const value = Object.hasOwn(row, field) ? row[field] : '';
  if (typeof value !== 'string') throw new Error(`${field} is no text`);
  return value;
}

function bytes(row: Row, field: string): number {
  const text = string(row, field);
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new Error(`${field} is ${JSON.stringify(text)}`);
  return value;
}

function percent(row: Row, field: string): number | undefined {
  const text = string(row, field);
  if (text === '') return undefined;
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value > 100) throw new Error(`${field} is ${JSON.stringify(text)}`);
  return value;
}

function tags(row: Row, field: string): string[] {
  return string(row, field)
    .split(',')
    .filter((tag) => tag !== '');
}
