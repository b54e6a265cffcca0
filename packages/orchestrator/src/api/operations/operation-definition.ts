// SPDX-License-Identifier: Apache-2.0
import type { ApiError } from '../../common/api-error.js';
import type { WriteTransaction } from '../../database/database.js';
import type { Operation, OperationKind, Progress } from './operation.js';

/** What a step gets. */
export interface StepContext {
  readonly operation: Operation;
  /** Aborted when the operation is cancelled. */
  readonly signal: AbortSignal;
  progress(progress: Progress): void;
  /** Waits for something that may take long and no work, such as a guest: other operations go on meanwhile. */
  aside<T>(wait: () => Promise<T>): Promise<T>;
  /** Copies much: few at once, and none of them in the way of other operations. Given up while it waits when the operation is cancelled. */
  copying<T>(copy: () => Promise<T>): Promise<T>;
  /**
   * Stores what the step came to in the commit that records its success, at the latest. It may run twice. What a later
   * step reads from the database must not come this way.
   */
  also(effect: Effect): void;
}

/** Something written in the same transaction as the record of an operation. */
export type Effect = (tx: WriteTransaction) => Promise<void>;

/**
 * One step. It may run again after a crash at any point, so it must come to the same end from every half-done state.
 * `undo` takes back whatever of it is there, also nothing.
 */
export interface Step {
  readonly name: string;
  /**
   * Begins only when the record says so. Other steps begin at once, so after a kill they may have begun though the record
   * says `pending`, and are taken back to be sure. Needed where that would harm what was there before the operation.
   */
  readonly barrier?: boolean;
  run(context: StepContext): Promise<void>;
  undo?(operation: Operation): Promise<void>;
}

/** How an operation ended, told in the transaction that records the end. */
export type Ending = { state: 'succeeded' } | { state: 'failed' | 'cancelled'; error: ApiError };

/** What an operation of a kind does. */
export interface OperationDefinition {
  readonly kind: OperationKind;
  /** All steps in order, for this very operation (its input decides). */
  steps(operation: Operation): readonly Step[];
  /** Brings the resource to its end state, in the same transaction as the operation itself. */
  finish(operation: Operation, ending: Ending, tx: WriteTransaction): Promise<void>;
}
