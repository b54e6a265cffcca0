// SPDX-License-Identifier: Apache-2.0
import { EnumField, IntField, StringField, TimeField } from '../../../common/dto/fields.js';
import { VOLUME_STATES } from '../volume.js';

/** What can be changed of a volume. */
export class UpdateVolume {
  @IntField({
    description: 'Size in MiB: never smaller than it is. A guest that runs is told at once.',
    min: 1,
    max: 64 * 1024 * 1024,
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
  @EnumField({ description: 'Format on the pool.', values: ['raw'] }) format: string;
  @StringField({ description: 'Id of the machine that holds it.', optional: true }) machine?: string;
  @EnumField({ description: 'State.', values: VOLUME_STATES }) state: string;
  @TimeField({ description: 'When it was asked for.' }) createdAt: string;
}
