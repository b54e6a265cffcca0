// SPDX-License-Identifier: Apache-2.0
import { EnumField, IntField, LabelsField, NameField, ObjectField, QueryBoolField, StringField } from '../../../common/dto/fields.js';
import { MAX_DISK_MIB, PREALLOCATIONS, type Preallocation, VOLUME_FORMATS, type VolumeFormat } from '../../../common/volume-storage.js';

/** How a volume of its own can be made from an image. */
export const OWN_CLONES = ['full', 'linked'] as const;

/** What a volume is made from: an image or another volume. */
export class VolumeSource {
  @StringField({ description: 'Image of kind `disk`: id or name.', optional: true, minLength: 1, maxLength: 128 }) image?: string;
  @StringField({
    description: 'Volume (id or name) that is copied, from any pool; its machine is stopped, and stays so meanwhile.',
    optional: true,
    minLength: 1,
    maxLength: 128,
  })
  volume?: string;
  @EnumField({
    description: '`full`: a copy. `linked`: at once and without space; it holds only what differs from the image, which stays as long.',
    optional: true,
    values: OWN_CLONES,
    default: 'full',
  })
  clone?: (typeof OWN_CLONES)[number];
}

/** Body of `POST /v1/volumes`. */
export class CreateVolume {
  @NameField({ description: 'Unique name of the volume.' }) name: string;
  @StringField({
    description: 'Storage pool (id or name) that it is made in.',
    optional: true,
    minLength: 1,
    maxLength: 128,
    default: 'default',
  })
  pool?: string;
  @IntField({
    description: 'Size in MiB; needed unless `from` is given, and never smaller than that.',
    optional: true,
    min: 1,
    max: MAX_DISK_MIB,
    code: 'spec.disk_invalid',
  })
  sizeMiB?: number;
  @EnumField({
    description: 'Format on the pool. Absent: `qcow2` of a linked clone, else `raw`. A full clone is raw.',
    optional: true,
    values: VOLUME_FORMATS,
  })
  format?: VolumeFormat;
  @ObjectField(() => VolumeSource, { description: 'What it is made from. Absent: it is empty.', optional: true }) from?: VolumeSource;
  @EnumField({
    description: '`sparse`: it takes the space that is written to. `full`: it takes all of its space now; raw volumes alone.',
    optional: true,
    values: PREALLOCATIONS,
    default: 'sparse',
  })
  preallocate?: Preallocation;
  @LabelsField({ optional: true }) labels?: Record<string, string>;
}

/** What can be changed of a volume. */
export class UpdateVolume {
  @IntField({
    description: 'Size in MiB: never smaller than it is. A guest that runs is told at once.',
    min: 1,
    max: MAX_DISK_MIB,
    code: 'spec.disk_invalid',
  })
  sizeMiB: number;
}

/** Body of `POST /v1/volumes/{volume}/move`. */
export class MoveVolume {
  @StringField({ description: 'Storage pool (id or name) that it goes into.', minLength: 1, maxLength: 128 }) pool: string;
}

/** How a volume is deleted. */
export class DeleteVolumeQuery {
  @QueryBoolField({
    description: 'Also when the host cannot reach its pool: what of it is there stays there, and is set aside when the pool comes back.',
    optional: true,
    default: false,
    code: 'request.invalid_query',
  })
  force?: boolean;
}
