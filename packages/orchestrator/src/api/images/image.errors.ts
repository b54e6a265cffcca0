// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import type { ErrorCode } from '../../common/error-codes.js';

export const IMAGE_PARAM = { image: 'Id or name of the image.' };

/** Codes that an import or upload may answer. */
export const IMPORT_ERRORS: readonly ErrorCode[] = [
  'image.name_taken',
  'image.format_mismatch',
  'image.truncated',
  'image.checksum_mismatch',
  'image.corrupt',
  'image.source_refused',
  'image.source_failed',
  'image.backing',
  'image.wrong_kind',
  'file.missing',
  'file.not_regular',
  'file.denied',
  'file.outside_roots',
  'pool.full',
  'request.invalid_name',
  'request.invalid_query',
  'operation.cancelled',
  'host.unavailable',
];

export class ImageNotFound extends ApiError {
  /** As a path parameter it is 404; as a field of a body it is 422 and names the field. */
  constructor(idOrName: string, field?: string) {
    super('image.not_found', {
      detail: `There is no image with the id or name "${idOrName}".`,
      remedy: 'Import it first (POST /v1/images), or list the images to see which there are.',
      field,
      status: field === undefined ? 404 : 422,
    });
  }
}

export class ImageNameTaken extends ApiError {
  constructor(name: string) {
    super('image.name_taken', {
      detail: `An image with the name "${name}" exists.`,
      remedy: 'Choose another name, or delete that image first.',
      field: 'name',
    });
  }
}

export class ImageInUse extends ApiError {
  constructor(name: string, machine: string) {
    super('image.in_use', {
      detail: `Image "${name}" is used by machine "${machine}".`,
      remedy: 'Delete the machines that boot from it first.',
    });
  }
}

/** So many volumes are named; there may be thousands. */
const NAMED_VOLUMES = 3;

export class ImageIsBackingFile extends ApiError {
  constructor(name: string, volumes: readonly { id: string; name: string }[]) {
    const named = volumes.slice(0, NAMED_VOLUMES).map((volume) => `"${volume.name}" (${volume.id})`);
    const more = volumes.length - named.length;
    super('image.in_use', {
      detail: `Image "${name}" is what linked or shared volumes are based on: ${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}.`,
      remedy: 'Delete the machines of these volumes first.',
    });
  }
}

export class ImageNotReady extends ApiError {
  constructor(name: string, field?: string) {
    super('image.not_ready', {
      detail: `Image "${name}" is still being imported.`,
      remedy: 'Wait for the operation of its import, or cancel it.',
      field,
    });
  }
}

export class ImageWrongKind extends ApiError {
  constructor(name: string, kind: string, wanted: string, field: string) {
    super('image.wrong_kind', {
      detail: `Image "${name}" is of kind ${kind}; a ${wanted} is needed here.`,
      remedy: `Give an image of kind ${wanted}.`,
      field,
    });
  }
}

export class ImageFormatDoesNotFit extends ApiError {
  constructor(kind: string, format: string) {
    super('image.wrong_kind', {
      detail: `An image of kind ${kind} cannot have the format ${format}.`,
      remedy: 'kernel: elf or bzimage; initrd: initrd; disk: raw, qcow2, vmdk, vhd, vhdx or vdi.',
      field: 'format',
    });
  }
}
