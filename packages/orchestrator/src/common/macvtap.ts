// SPDX-License-Identifier: Apache-2.0

/** `bridge`: interfaces on one parent reach each other. `vepa`: by the switch alone. `private`: not at all. */
export const MACVTAP_MODES = ['bridge', 'vepa', 'private'] as const;
export type MacvtapMode = (typeof MACVTAP_MODES)[number];
/** What a link of Linux can be called and what needs no quotes; the length is `IFNAMSIZ`. */
export const PARENT_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/;

/** A link of the host that a guest is on beside the host, with an address of its own. */
export interface Macvtap {
  parent: string;
  mode: MacvtapMode;
}

/** Only these fields, with what is left out. */
export function macvtapOf({ parent, mode }: { parent: string; mode?: MacvtapMode }): Macvtap {
  return { parent, mode: mode ?? 'bridge' };
}
