// SPDX-License-Identifier: Apache-2.0
import {
  BoolField,
  CustomField,
  EnumField,
  ListField,
  NumberField,
  ObjectField,
  StringField,
  TimeField,
} from '../../../common/dto/fields.js';
import { PageQuery } from '../../../common/dto/list.dto.js';
import { Problem } from '../../../common/dto/problem.dto.js';
import { hasEnded, OPERATION_KINDS, OPERATION_STATES, type Operation, STEP_STATES } from '../operation.js';

/** The resource something happens to. */
export class TargetDto {
  @EnumField({
    description: 'Kind of the resource.',
    values: ['machine', 'image', 'network', 'volume', 'pool', 'operation', 'key', 'host'],
  })
  kind: string;
  @StringField({ description: 'Id of the resource.' }) id: string;
  @StringField({ description: 'Name of the resource at that time.', optional: true }) name?: string;
}

/** One step of an operation. */
export class OperationStep {
  @StringField({ description: 'Name of the step.' }) name: string;
  @EnumField({ description: 'State of the step.', values: STEP_STATES }) state: string;
  @TimeField({ description: 'When it began.', optional: true }) startedAt?: string;
  @TimeField({ description: 'When it ended.', optional: true }) endedAt?: string;
}

/** How far the running step is. */
export class OperationProgress {
  @NumberField({ description: 'Bytes done.', optional: true }) bytes?: number;
  @NumberField({ description: 'Bytes to do.', optional: true }) totalBytes?: number;
  @NumberField({ description: 'Percent done, 0 to 100.', optional: true }) percent?: number;
  @NumberField({ description: 'Bytes done in a second, lately.', optional: true }) bytesPerSecond?: number;
}

/** A change that takes longer than a moment. */
export class OperationDto {
  @StringField({ description: 'Id.' }) id: string;
  @EnumField({ description: 'What is done.', values: OPERATION_KINDS }) kind: string;
  @ObjectField(() => TargetDto, { description: 'To what.' }) target: TargetDto;
  @EnumField({ description: 'State.', values: OPERATION_STATES }) state: string;
  @ListField(() => OperationStep, { description: 'Its steps in order.' }) steps: OperationStep[];
  @ObjectField(() => OperationProgress, { description: 'How far the running step is.', optional: true }) progress?: OperationProgress;
  @CustomField({
    description: 'What came out, for example `{"machineId": "mac-..."}`.',
    optional: true,
    schema: { type: 'object', additionalProperties: true },
  })
  result?: Record<string, unknown>;
  @ObjectField(() => Problem, { description: 'Why it failed or was cancelled.', optional: true }) error?: Problem;
  @TimeField({ description: 'When it was accepted.' }) createdAt: string;
  @TimeField({ description: 'When its first step began.', optional: true }) startedAt?: string;
  @TimeField({ description: 'When it ended.', optional: true }) endedAt?: string;
  @BoolField({ description: 'Whether it can be cancelled now.' }) mayCancel: boolean;
  @StringField({ description: 'Name of the API key that asked for it, or `system`.' }) requestedBy: string;
}

/** Filter of the list of operations. */
export class OperationQuery extends PageQuery {
  @StringField({ description: 'Only operations on the resource of this id.', optional: true, maxLength: 64, code: 'request.invalid_query' })
  target?: string;
  @EnumField({ description: 'Only operations in this state.', optional: true, values: OPERATION_STATES, code: 'request.invalid_query' })
  state?: string;
}

/** The form in which clients see an operation. */
export function toOperationDto(operation: Operation): OperationDto {
  const { input: _input, phase: _phase, cancelRequested: _cancel, requestId: _request, ...shown } = operation;
  return { ...shown, mayCancel: mayCancel(operation) } as OperationDto;
}

/** Deletes go forward only, all else can be taken back until it ended. */
export function mayCancel(operation: Operation): boolean {
  return (
    !hasEnded(operation) &&
    operation.phase === 'forward' &&
    !operation.cancelRequested &&
    !operation.kind.endsWith('.delete') &&
    operation.kind !== 'machine.kill' &&
    operation.kind !== 'disk.detach'
  );
}
