// SPDX-License-Identifier: Apache-2.0
import { BoolField, EnumField, IntField, NameField, NumberField, ObjectField, QueryBoolField } from '../../../common/dto/fields.js';
import { MAX_GUARD_PERCENT, POOL_KINDS, type PoolKind } from '../../../common/pool.js';
import { DirPoolDto, LvmPoolDto, LvmThinPoolDto, NfsPoolDto } from './pool-places.dto.js';

/** Guard of a pool that names none, in percent. */
export const DEFAULT_GUARD_PERCENT = 5;
/** Bounds of the ratio: fewer volumes than a thousandth of a pool are none, and more than ten thousand times of it is any number. */
const RATIO = { min: 0.001, max: 10_000 };

/** A new pool. */
export class DefinePool {
  @NameField({ description: 'Name, unique among pools.' }) name: string;
  @EnumField({ description: 'What it is made of. The field of that name (`lvmThin` of `lvm-thin`) says where.', values: POOL_KINDS })
  kind: PoolKind;
  @ObjectField(() => DirPoolDto, { description: 'Of the kind `dir`: where.', optional: true }) dir?: DirPoolDto;
  @ObjectField(() => NfsPoolDto, { description: 'Of the kind `nfs`: what is mounted.', optional: true }) nfs?: NfsPoolDto;
  @ObjectField(() => LvmThinPoolDto, { description: 'Of the kind `lvm-thin`: the thin pool.', optional: true }) lvmThin?: LvmThinPoolDto;
  @ObjectField(() => LvmPoolDto, { description: 'Of the kind `lvm`: the volume group.', optional: true }) lvm?: LvmPoolDto;
  @BoolField({ description: 'Whether it is started after a restart of the host.', optional: true, default: true }) autostart?: boolean;
  @IntField({
    description:
      'Percent of the capacity that are kept free: below that no volume is made, cloned or grown there (`pool.full`). What guests write to ' +
      'volumes that they have is not held up.',
    optional: true,
    min: 0,
    max: MAX_GUARD_PERCENT,
    default: DEFAULT_GUARD_PERCENT,
  })
  guardPercent?: number;
  @NumberField({
    description: 'How many times its capacity volumes may have together; more is `pool.overcommitted`. Absent: any number.',
    optional: true,
    ...RATIO,
  })
  overcommitRatio?: number;
  @BoolField({ description: 'Whether it is started at once.', optional: true, default: true }) start?: boolean;
}

/** What can be changed of a pool. */
export class UpdatePool {
  @BoolField({ description: 'Whether it is started after a restart of the host.', optional: true }) autostart?: boolean;
  @IntField({ description: 'Percent of the capacity that are kept free.', optional: true, min: 0, max: MAX_GUARD_PERCENT })
  guardPercent?: number;
  @NumberField({
    description: 'How many times its capacity volumes may have together; null: any number. What is promised already stays.',
    optional: true,
    nullable: true,
    ...RATIO,
  })
  overcommitRatio?: number | null;
}

/** How a pool is stopped. */
export class StopPool {
  @BoolField({
    description:
      'Also when its server does not answer, or something of the host has files of it open: the mount goes, and what was not yet ' +
      'written through it is lost. Machines that use it have to be stopped or killed all the same.',
    optional: true,
    default: false,
  })
  force?: boolean;
}

/** How a pool is deleted. */
export class DeletePoolQuery {
  @QueryBoolField({
    description: 'Also when the host cannot reach it: what of it is still there stays there.',
    optional: true,
    default: false,
    code: 'request.invalid_query',
  })
  force?: boolean;
}
