// SPDX-License-Identifier: Apache-2.0
import { shortId } from '../../common/ids.js';

/** Prefix of every tap Flotilla makes. */
export const TAP_PREFIX = 'flot-';

/** Name of the tap of an interface: at most 15 bytes, the same after every restart. */
export function tapName(machineId: string, interfaceName: string): string {
  return `${TAP_PREFIX}${shortId(`${machineId}/${interfaceName}`)}`;
}
