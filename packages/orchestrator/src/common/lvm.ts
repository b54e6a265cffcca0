// SPDX-License-Identifier: Apache-2.0
// Pools of logical volumes. One form from the API to the programs of LVM.

/** A thin pool of a volume group. */
export interface LvmThinPoolConfig {
  volumeGroup: string;
  thinPool: string;
}

/** A volume group. */
export interface LvmPoolConfig {
  volumeGroup: string;
}

/** What lvm(8) takes as the name of a group or volume: neither an option, nor a tag (`@`), nor a path can be mistaken for one. */
export const LVM_NAME = /^(?!\.{1,2}$)[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}$/;
