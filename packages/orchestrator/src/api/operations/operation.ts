// SPDX-License-Identifier: Apache-2.0
import type { ProblemDocument } from '../../common/api-error.js';
import type { Target } from '../../common/event.js';

export const OPERATION_STATES = ['pending', 'running', 'succeeded', 'failed', 'cancelled'] as const;
export type OperationState = (typeof OPERATION_STATES)[number];

export const OPERATION_KINDS = [
  'machine.create',
  'machine.start',
  'machine.stop',
  'machine.restart',
  'machine.kill',
  'machine.pause',
  'machine.resume',
  'machine.delete',
  'image.import',
  'image.delete',
  'disk.attach',
  'disk.detach',
  'volume.create',
  'volume.move',
  'volume.delete',
  'pool.define',
  'pool.start',
  'pool.stop',
  'pool.refresh',
  'pool.delete',
] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

export const STEP_STATES = ['pending', 'running', 'succeeded', 'failed', 'undone', 'skipped'] as const;
export type StepState = (typeof STEP_STATES)[number];

/** One named, repeatable step of an operation. */
export interface StepRecord {
  name: string;
  state: StepState;
  startedAt?: string;
  endedAt?: string;
}

/** How far a long step is. */
export interface Progress {
  bytes?: number;
  totalBytes?: number;
  percent?: number;
  bytesPerSecond?: number;
}

/** A change that takes longer than a moment. It is durable: a restart of the orchestrator goes on with it. */
export interface Operation {
  id: string;
  kind: OperationKind;
  target: Target;
  state: OperationState;
  /** `undo` once it failed or was cancelled and its steps are being taken back. */
  phase: 'forward' | 'undo';
  steps: StepRecord[];
  input: Record<string, unknown>;
  progress?: Progress;
  result?: Record<string, unknown>;
  error?: ProblemDocument;
  cancelRequested: boolean;
  createdAt: string;
  startedAt?: string;
  endedAt?: string;
  requestedBy: string;
  requestId?: string;
}

/** Whether nothing more will happen to it. */
export function hasEnded(operation: Pick<Operation, 'state'>): boolean {
  return operation.state === 'succeeded' || operation.state === 'failed' || operation.state === 'cancelled';
}
