// SPDX-License-Identifier: Apache-2.0
import { EnumField, IntField, StringField, TimeField } from '../../../common/dto/fields.js';
import { MAX_DISK_MIB, VOLUME_FORMATS } from '../../../common/volume-storage.js';
import { VOLUME_STATES } from '../volume.js';

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

/** A virtual disk. */
export class VolumeDto {
  @StringField({ description: 'Id.' }) id: string;
  @StringField({ description: 'Name: `<machine>-<disk>`.' }) name: string;
  @StringField({ description: 'Name of its pool.' }) pool: string;
  @IntField({ description: 'Size in bytes.' }) sizeBytes: number;
  @EnumField({
    description:
      'Format on the pool. `qcow2`: a linked clone, which holds only what differs from its image. `raw` with `backingImage`: that image.',
    values: VOLUME_FORMATS,
  })
  format: string;
  @StringField({
    description:
      'Id of the image that a linked clone reads what its guest has not written, or that a shared one is. It cannot be deleted meanwhile.',
    optional: true,
  })
  backingImage?: string;
  @StringField({ description: 'Id of the machine that holds it.', optional: true }) machine?: string;
  @EnumField({ description: 'State.', values: VOLUME_STATES }) state: string;
  @TimeField({ description: 'When it was asked for.' }) createdAt: string;
}
