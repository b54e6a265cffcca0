// SPDX-License-Identifier: Apache-2.0
import type { Log } from '../../common/log.js';
import type { Database } from '../../database/database.js';
import type { Durability } from '../../database/group-commit.js';
import type { Operation } from './operation.js';
import type { Effect } from './operation-definition.js';
import type { OperationRepository } from './operation.repository.js';

/** Where a journal writes. */
export interface JournalParts {
  repository: OperationRepository;
  database: Database;
  log: Log;
}

/** What waits to be written beside the operation itself. */
interface Noted {
  steps: string[];
  effects: Effect[];
}

/**
 * The record of one running operation. Steps do not wait for it: what they came to is noted and follows behind, several
 * notes in one commit when they come quickly. It may therefore be older than the work when the process is killed, never
 * newer; the next start repeats steps that were done already, which they allow.
 */
export class OperationJournal {
  private noted: Noted = { steps: [], effects: [] };
  private writing: Promise<void> | undefined;

  constructor(
    private readonly operation: Operation,
    private readonly parts: JournalParts,
  ) {}

  /** The record follows behind. */
  note(step: string): void {
    if (this.noted.steps.at(-1) !== step) this.noted.steps.push(step);
    this.writing ??= this.writeBehind();
  }

  /** Writes something else in one commit with the record. May be called twice for one call, so it must allow that. */
  also(effect: Effect): void {
    this.noted.effects.push(effect);
  }

  /** Waits until what was noted is written. */
  async settle(): Promise<void> {
    await this.writing;
  }

  /**
   * Writes the record with all that was noted and `more`, after every write behind that is under way. What `more` changes in
   * the operation itself, `revert` takes back: a write behind must never record what was not committed.
   */
  async commit(durability: Durability, more?: Effect, revert: () => void = () => undefined): Promise<void> {
    let taken: Noted | undefined;
    const putBack = () => {
      revert();
      if (taken !== undefined)
        this.noted = { steps: [...taken.steps, ...this.noted.steps], effects: [...taken.effects, ...this.noted.effects] };
      taken = undefined;
    };
    try {
      await this.parts.database.write(async (tx) => {
        taken = this.noted;
        this.noted = { steps: [], effects: [] };
        try {
          for (const effect of taken.effects) await effect(tx);
          await more?.(tx);
          await this.parts.repository.save(this.operation, tx.db);
        } catch (error) {
          putBack(); // at once: a later commit of ours may be in the same transaction
          throw error;
        }
        for (const step of taken.steps) tx.emit(operationEvent(this.operation, step));
        if (taken.steps.length === 0 || more !== undefined) tx.emit(operationEvent(this.operation));
      }, durability);
    } catch (error) {
      putBack();
      throw error;
    }
  }

  private async writeBehind(): Promise<void> {
    try {
      while (this.noted.steps.length > 0) await this.commit('process');
    } catch (error) {
      this.parts.log.warn(
        { err: error, operation: this.operation.id },
        'the record of an operation could not be written; the next write has it too',
      );
    } finally {
      this.writing = undefined;
    }
  }
}

function operationEvent(operation: Operation, step?: string) {
  const { kind, state, progress } = operation;
  return {
    kind: 'operation.updated' as const,
    target: { kind: 'operation' as const, id: operation.id },
    data: { kind, state, ...(step === undefined ? {} : { step }), ...(progress === undefined ? {} : { progress }) },
  };
}
