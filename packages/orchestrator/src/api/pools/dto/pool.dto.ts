// SPDX-License-Identifier: Apache-2.0
import { EnumField, IntField, StringField } from '../../../common/dto/fields.js';

/** A storage pool. */
export class PoolDto {
  @StringField({ description: 'Id.' }) id: string;
  @StringField({ description: 'Unique name.' }) name: string;
  @EnumField({ description: 'Driver.', values: ['dir'] }) driver: 'dir';
  @IntField({ description: 'Bytes of the file system it is on.' }) capacityBytes: number;
  @IntField({ description: 'Bytes given to volumes and images.' }) allocatedBytes: number;
  @IntField({ description: 'Bytes that new images and volumes may take: what is free, less a part kept back for the database.' })
  availableBytes: number;
  @EnumField({ description: 'State.', values: ['ready', 'unavailable'] }) state: 'ready' | 'unavailable';
}
