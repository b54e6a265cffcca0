// SPDX-License-Identifier: Apache-2.0
import {
  BoolField,
  CustomField,
  EnumField,
  IntField,
  NumberField,
  ObjectField,
  StringField,
  TimeField,
} from '../../../common/dto/fields.js';
import {
  MAX_GUARD_PERCENT,
  PLACE_FIELDS,
  POOL_CAPABILITIES,
  POOL_KINDS,
  type PoolCapability,
  type PoolKind,
} from '../../../common/pool.js';
import { DESIRED_POOL_STATES, type Pool, POOL_STATES } from '../pool.js';
import { DirPoolDto, LvmPoolDto, LvmThinPoolDto, NfsPoolDto } from './pool-places.dto.js';

/** Why a pool is not as it was asked to be. */
export class PoolReasonDto {
  @StringField({ description: 'Stable code.' }) code: string;
  @StringField({ description: 'What happened.' }) detail: string;
  @StringField({ description: 'What to do about it.' }) remedy: string;
}

/** A storage pool. */
export class PoolDto {
  @StringField({ description: 'Id.' }) id: string;
  @StringField({ description: 'Unique name.' }) name: string;
  @EnumField({ description: 'What it is made of.', values: POOL_KINDS }) kind: PoolKind;
  @ObjectField(() => DirPoolDto, { description: 'Of the kind `dir`: where. Absent of the pool `default`.', optional: true })
  dir?: DirPoolDto;
  @ObjectField(() => NfsPoolDto, { description: 'Of the kind `nfs`: what is mounted.', optional: true }) nfs?: NfsPoolDto;
  @ObjectField(() => LvmThinPoolDto, { description: 'Of the kind `lvm-thin`: the thin pool.', optional: true }) lvmThin?: LvmThinPoolDto;
  @ObjectField(() => LvmPoolDto, { description: 'Of the kind `lvm`: the volume group.', optional: true }) lvm?: LvmPoolDto;
  @IntField({ description: 'Grows with each change of what was asked for; the ETag is `W/"<generation>"`.' }) generation: number;
  @EnumField({ description: 'What was asked for.', values: DESIRED_POOL_STATES }) desired: string;
  @EnumField({
    description: 'What it is. `unavailable`: it is to be started and the host cannot reach it; `reason` says why, and it is tried again.',
    values: POOL_STATES,
  })
  state: string;
  @ObjectField(() => PoolReasonDto, { description: 'Why it is not what was asked for.', optional: true }) reason?: PoolReasonDto;
  @CustomField({
    description: 'What it can do beside making and removing volumes.',
    schema: { type: 'array', items: { type: 'string', enum: [...POOL_CAPABILITIES] } },
  })
  capabilities: PoolCapability[];
  @BoolField({ description: 'Whether it is started after a restart of the host.' }) autostart: boolean;
  @IntField({
    description: 'Percent of the capacity that are kept free: below that nothing new is made there.',
    min: 0,
    max: MAX_GUARD_PERCENT,
  })
  guardPercent: number;
  @BoolField({ description: 'Whether less is free than the guard keeps.' }) guarded: boolean;
  @NumberField({ description: 'How many times its capacity volumes may have together. Absent: any number.', optional: true })
  overcommitRatio?: number;
  @IntField({ description: 'Bytes of the storage it is on; 0 while it is not ready.' }) capacityBytes: number;
  @IntField({ description: 'Bytes given to volumes and images.' }) allocatedBytes: number;
  @IntField({ description: 'Bytes that new images and volumes may take: what is free, less a part kept back (guard, database).' })
  availableBytes: number;
  @NumberField({ description: 'Of the kind `lvm-thin`, while it is ready: percent of the thin pool that hold data.', optional: true })
  dataPercent?: number;
  @NumberField({
    description: 'Of the kind `lvm-thin`, while it is ready: percent of its metadata that are in use. From 90 on nothing is made there.',
    optional: true,
  })
  metadataPercent?: number;
  @IntField({ description: 'Bytes that its volumes may come to hold together.' }) promisedBytes: number;
  @IntField({ description: 'How many volumes it has.' }) volumes: number;
  @TimeField({ description: 'When it was defined.' }) createdAt: string;
  @TimeField({ description: 'When what was asked for was last changed.' }) updatedAt: string;
}

/** What the host says of the space of a pool, and what the volumes in it come to. */
export type PoolSpaceFacts = Pick<
  PoolDto,
  'capacityBytes' | 'allocatedBytes' | 'availableBytes' | 'dataPercent' | 'metadataPercent' | 'promisedBytes' | 'volumes'
>;

/** The form in which clients see a pool. */
export function toPoolDto({ observed, config, ...pool }: Pool, space: PoolSpaceFacts): PoolDto {
  return { ...pool, ...observed, ...space, ...(config === undefined ? {} : { [PLACE_FIELDS[pool.kind]]: config }) };
}
