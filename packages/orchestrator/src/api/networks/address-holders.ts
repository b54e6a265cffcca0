// SPDX-License-Identifier: Apache-2.0
import type { Executor } from '../../database/database.js';

/** A machine as its network sees it. */
export interface AddressHolder {
  /** Under which DNS knows it. */
  name: string;
  /** Until when its guest holds the address of an interface; interfaces whose guest has asked for none are absent. */
  heldUntil: ReadonlyMap<string, string>;
}

/** What networks ask about the machines that addresses belong to: networks know nothing of machines, which answer this. */
export abstract class AddressHolders {
  /** The id of a machine that is called so. */
  abstract idOf(idOrName: string, db: Executor): Promise<string | undefined>;
  /** Holders by the id of the machine; one that is gone is absent. */
  abstract find(machineIds: readonly string[]): Promise<ReadonlyMap<string, AddressHolder>>;
}
