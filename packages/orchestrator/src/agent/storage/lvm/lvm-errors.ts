// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../../common/api-error.js';
import type { ErrorCode } from '../../../common/error-codes.js';
import { LvmRefused } from './logical-volumes.js';

const LOOK = 'Look at it on the host: `vgs`, `lvs -a`. The pool comes back by itself.';
const INSTALL = 'Install it: apt-get install lvm2 thin-provisioning-tools';

/** What is said of a pool of logical volumes. */
export class LvmErrors {
  constructor(
    /** How a person knows the place. */
    readonly known: string,
    /** The field of a definition that says where it is. */
    readonly field: 'lvmThin' | 'lvm',
  ) {}

  /** What the process that fills a device says of it. */
  get setup(): { known: string; field: string; remedy: string } {
    return { known: this.known, field: this.groupField, remedy: LOOK };
  }

  get groupField(): string {
    return `${this.field}.volumeGroup`;
  }

  away(why: string, remedy = LOOK, cause?: unknown): ApiError {
    return new ApiError('pool.unavailable', { detail: `${this.known} cannot be used. ${why}`, remedy, cause });
  }

  /** It can be no pool, by the field that is at fault. */
  invalid(detail: string, remedy: string, field = this.groupField): ApiError {
    return new ApiError('pool.place_invalid', { detail, remedy, field });
  }

  taken(owner: string): ApiError {
    return new ApiError('pool.place_taken', {
      detail: `${this.known} belongs to the storage pool ${owner}.`,
      remedy: `Choose another one; or, if no installation has that pool any more, take its tag flotilla.pool.${owner} away with \`vgchange\` or \`lvchange --deltag\`.`,
      field: this.field === 'lvm' ? this.groupField : `${this.field}.thinPool`,
    });
  }

  rooted(): ApiError {
    return new ApiError('pool.outside_roots', {
      detail: 'Storage pools of this host may be below directories of its own only.',
      remedy: 'Start it without `--pool-root`.',
      field: this.field,
    });
  }

  /** A volume of the group has the name of ours. */
  foreign(name: string): ApiError {
    return new ApiError('pool.place_taken', {
      detail: `There is a logical volume ${name} in ${this.known} that is not of this pool.`,
      remedy: 'Rename it: lvrename',
    });
  }

  /** It would go with a volume of ours, and is somebody's. */
  hasSnapshots(name: string): ApiError {
    return new ApiError('pool.in_use', {
      detail: `${this.known}: there are snapshots of the logical volume ${name}, which would go with it.`,
      remedy: 'Remove them when nobody needs them (`lvs -o lv_name,origin`, lvremove), then try again.',
    });
  }

  full(detail: string, remedy: string): ApiError {
    return new ApiError('pool.full', { detail: `${this.known}: ${detail}`, remedy });
  }

  /** The first, for one, of those that keep the pool from being removed. */
  notEmpty(name: string, aside: boolean): ApiError {
    return new ApiError('pool.not_empty', {
      detail: `The logical volume ${name} is still in ${this.known}${aside ? ', set aside' : ''}.`,
      remedy: 'Look at what it is, and remove it when nobody needs it (lvremove); then delete the pool again.',
    });
  }

  /** Why it cannot be defined. */
  atDefinition(error: unknown): ApiError {
    if (!(error instanceof LvmRefused)) return this.from(error);
    if (error.why === 'no-group')
      return this.invalid(
        `There is no such volume group on the host: ${error.said}.`,
        'Make it (vgcreate), or give the name of one that `vgs` shows.',
      );
    return this.from(error).at(this.groupField);
  }

  from(error: unknown): ApiError {
    if (!(error instanceof LvmRefused)) return ApiError.from(error);
    const { why, said } = error;
    const known: Partial<Record<LvmRefused['why'], [ErrorCode, string]>> = {
      busy: ['pool.in_use', 'End what has it open (`lsof`, `dmsetup ls --tree` find it), then try again.'],
      full: ['pool.full', 'Free space in the volume group or thin pool, or make it larger: vgextend, lvextend.'],
    };
    const [code, remedy] = known[why] ?? [];
    if (code !== undefined && remedy !== undefined) return new ApiError(code, { detail: `${this.known}: ${said}.`, remedy, cause: error });
    if (why === 'misled') return this.away(`On this host ${said}.`, 'Put the names of devices right: `dmsetup mknodes`', error);
    return this.away(`LVM says: ${said}.`, why === 'missing-program' ? INSTALL : LOOK, error);
  }
}
