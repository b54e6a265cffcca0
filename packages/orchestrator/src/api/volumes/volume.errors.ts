// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import type { ErrorCode } from '../../common/error-codes.js';
import type { Volume } from './volume.js';

export const VOLUME_PARAM = { volume: 'Id or name of the volume.' };

/** Codes that making a volume may answer. */
export const CREATE_VOLUME_ERRORS: readonly ErrorCode[] = [
  'volume.name_taken',
  'image.not_found',
  'image.not_ready',
  'image.wrong_kind',
  'volume.not_found',
  'volume.locked',
  'volume.in_use',
  'spec.disk_invalid',
  'pool.not_found',
  'pool.not_started',
  'pool.unsupported',
  'pool.overcommitted',
  'pool.full',
  'request.invalid_name',
  'host.unavailable',
];

export class VolumeNotFound extends ApiError {
  /** As a path parameter it is 404; as a field of a body it is 422 and names the field. */
  constructor(idOrName: string, field?: string) {
    super('volume.not_found', {
      detail: `There is no volume with the id or name "${idOrName}".`,
      remedy: 'List the volumes: GET /v1/volumes.',
      field,
      status: field === undefined ? 404 : 422,
    });
  }
}

export class VolumeNameTaken extends ApiError {
  constructor(name: string) {
    super('volume.name_taken', {
      detail: `A volume with the name "${name}" exists.`,
      remedy: 'Choose another name, or delete that volume first.',
      field: 'name',
    });
  }
}

export class VolumeInUse extends ApiError {
  constructor(volume: Volume, machine: string) {
    super('volume.in_use', {
      detail: `Volume "${volume.name}" is a disk of machine "${machine}".`,
      remedy: 'Detach it first (DELETE /v1/machines/{machine}/disks/{disk}), or delete that machine.',
    });
  }
}

export class VolumeBusy extends ApiError {
  constructor(volume: Volume, operation: { id: string; kind: string }) {
    super('volume.state_conflict', {
      detail: `Operation ${operation.id} (${operation.kind}) on volume "${volume.name}" has not ended.`,
      remedy: `Wait for it with GET /v1/operations/${operation.id} and Prefer: wait=60, or cancel it.`,
    });
  }
}

/** Another volume is being copied from it. */
export function beingCopied({ id, copy }: { id: string; copy: string }, field?: string): VolumeLocked {
  return new VolumeLocked(`Volume ${id} is being copied to "${copy}".`, 'Wait until that is done, or cancel it.', field);
}

export class VolumeLocked extends ApiError {
  constructor(detail: string, remedy: string, field?: string) {
    super('volume.locked', { detail, remedy, field });
  }
}
