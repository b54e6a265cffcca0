// SPDX-License-Identifier: Apache-2.0
export const VOLUME_STATES = ['creating', 'ready', 'deleting'] as const;
export type VolumeState = (typeof VOLUME_STATES)[number];

/** A virtual disk; the machine that holds it is the only one that may use it. */
export interface Volume {
  id: string;
  name: string;
  pool: string;
  sizeBytes: number;
  format: 'raw';
  machine?: string;
  state: VolumeState;
  createdAt: string;
}
