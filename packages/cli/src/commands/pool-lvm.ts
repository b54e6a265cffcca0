// SPDX-License-Identifier: Apache-2.0
// How the command line writes where a pool of logical volumes is.
import type { DefinePool, Pool } from '@flotilla/sdk';
import { size } from '../output/table.js';

export interface LvmOptions {
  readonly kind: DefinePool['kind'];
  readonly group?: string;
  readonly thinPool?: string;
}

/** The field of the definition that these options mean. What lacks, or is too much, is for the API to say. */
export function lvmPlace({ kind, group: volumeGroup, thinPool }: LvmOptions): Pick<DefinePool, 'lvm' | 'lvmThin'> {
  if (volumeGroup === undefined && thinPool === undefined) return {};
  if (kind === 'lvm' && thinPool === undefined && volumeGroup !== undefined) return { lvm: { volumeGroup } };
  return { lvmThin: { volumeGroup: volumeGroup ?? '', thinPool: thinPool ?? '' } };
}

/** `vg0`, or `vg0/thin`. */
export function lvmText({ lvm, lvmThin }: Pick<Pool, 'lvm' | 'lvmThin'>): string {
  return lvm?.volumeGroup ?? (lvmThin === undefined ? '' : `${lvmThin.volumeGroup}/${lvmThin.thinPool}`);
}

/** How full a thin pool is. */
export function thinText({ dataPercent, metadataPercent, capacityBytes }: Pool): string {
  if (dataPercent === undefined) return '';
  return `data ${dataPercent} % of ${size(capacityBytes)}, metadata ${metadataPercent ?? 0} %`;
}
