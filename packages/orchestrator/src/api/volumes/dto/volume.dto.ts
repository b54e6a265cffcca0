// SPDX-License-Identifier: Apache-2.0
import { EnumField, IntField, LabelsField, StringField, TimeField } from '../../../common/dto/fields.js';
import { VOLUME_FORMATS } from '../../../common/volume-storage.js';
import { type Volume, VOLUME_STATES } from '../volume.js';

/** A virtual disk. */
export class VolumeDto {
  @StringField({ description: 'Id.' }) id: string;
  @StringField({ description: 'Unique name; of one that was made with a machine `<machine>-<disk>`, if that was free.' }) name: string;
  @LabelsField({}) labels: Record<string, string>;
  @IntField({ description: 'Grows with each change of what was asked for; the ETag is `W/"<generation>"`.' }) generation: number;
  @StringField({ description: 'Name of its pool.' }) pool: string;
  @IntField({ description: 'Size in bytes.' }) sizeBytes: number;
  @EnumField({
    description:
      'Format on the pool. `qcow2` with `backingImage`: a linked clone, which holds only what differs from its image. `raw` with `backingImage`: that image.',
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
  @EnumField({ description: 'State. Only one that is `ready` is whole.', values: VOLUME_STATES }) state: string;
  @TimeField({ description: 'When it was asked for.' }) createdAt: string;
}

/** The form in which clients see a volume. */
export function toVolumeDto({ source: _source, ...volume }: Volume): VolumeDto {
  return volume;
}
