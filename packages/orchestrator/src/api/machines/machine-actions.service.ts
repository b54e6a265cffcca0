// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import type { Operation, OperationKind } from '../operations/operation.js';
import { mayCancel } from '../operations/dto/operation.dto.js';
import { OperationsService } from '../operations/operations.service.js';
import type { StopMachine } from './dto/machine-requests.dto.js';
import { type DesiredState, type Machine, type MachineAction, type MachineState, mayAct } from './machine.js';
import { MachineBusy, MachineNotFound, MachineStateConflict } from './machine.errors.js';
import { requireUnprotected } from './machine-change.js';
import { MachineMemory } from './machine-memory.service.js';
import { MachinePools } from './machine-pools.service.js';
import { MachineRepository } from './machine.repository.js';
import { MachineStates, targetOf } from './machine-states.service.js';
import { checkGeneration } from './machines.service.js';
import { UnseenMachines } from './unseen-machines.js';

interface Wish {
  action: MachineAction;
  desired: DesiredState;
  /** State shown while the operation runs. */
  transient: MachineState;
  input?: Record<string, unknown>;
  force?: boolean;
  byPolicy?: boolean;
}

/** What opens volumes, or removes them. */
const NEEDS_POOLS: readonly MachineAction[] = ['start', 'restart', 'delete'];

const REMEDIES: Record<MachineAction, string> = {
  start: 'Only a stopped or failed machine can be started.',
  stop: 'Only a running or paused machine can be stopped.',
  restart: 'Only a running or paused machine can be restarted; start it instead.',
  kill: 'There is nothing to kill.',
  pause: 'Only a running machine can be paused.',
  resume: 'Only a paused machine can be resumed.',
  delete: 'Stop the machine first, or delete it with force=true.',
};

/** What clients and the restart policy ask machines to do: each becomes a wish and an operation. */
@Injectable()
export class MachineActions {
  constructor(
    private readonly repository: MachineRepository,
    private readonly operations: OperationsService,
    private readonly states: MachineStates,
    private readonly unseen: UnseenMachines,
    private readonly memory: MachineMemory,
    private readonly pools: MachinePools,
  ) {}

  start(idOrName: string, ifMatch?: string): Promise<Operation> {
    return this.act(idOrName, ifMatch, { action: 'start', desired: 'running', transient: 'starting' });
  }

  /** A start by the restart policy: counts as one more attempt. */
  restartByPolicy(id: string): Promise<Operation> {
    return this.act(id, undefined, { action: 'start', desired: 'running', transient: 'starting', byPolicy: true });
  }

  stop(idOrName: string, body: StopMachine, ifMatch?: string): Promise<Operation> {
    return this.act(idOrName, ifMatch, { action: 'stop', desired: 'stopped', transient: 'stopping', input: stopInput(body) });
  }

  restart(idOrName: string, body: StopMachine, ifMatch?: string): Promise<Operation> {
    return this.act(idOrName, ifMatch, { action: 'restart', desired: 'running', transient: 'stopping', input: stopInput(body) });
  }

  kill(idOrName: string, ifMatch?: string): Promise<Operation> {
    return this.act(idOrName, ifMatch, { action: 'kill', desired: 'stopped', transient: 'stopping', force: true });
  }

  pause(idOrName: string, ifMatch?: string): Promise<Operation> {
    return this.act(idOrName, ifMatch, { action: 'pause', desired: 'paused', transient: 'pausing' });
  }

  resume(idOrName: string, ifMatch?: string): Promise<Operation> {
    return this.act(idOrName, ifMatch, { action: 'resume', desired: 'running', transient: 'paused' });
  }

  /** A delete that failed before, tried again: its wish stands until the machine is gone. */
  deleteAgain(id: string): Promise<Operation> {
    return this.act(id, undefined, { action: 'delete', desired: 'stopped', transient: 'deleting', force: true, byPolicy: true });
  }

  remove(idOrName: string, force: boolean, ifMatch?: string): Promise<Operation> {
    return this.act(idOrName, ifMatch, { action: 'delete', desired: 'stopped', transient: 'deleting', force, input: { force } });
  }

  private async act(idOrName: string, ifMatch: string | undefined, wish: Wish): Promise<Operation> {
    const machine = await this.repository.load(idOrName);
    checkGeneration(machine, ifMatch);
    requirePowerButton(machine, wish);
    requireMayGo(machine, wish);
    const cleared = await this.clearTheWay(machine, wish);
    if (wish.action === 'start') await this.memory.prepare();
    const kind: OperationKind = `machine.${wish.action}`;
    return this.operations.submit(
      { kind, target: targetOf(machine), ...(wish.input === undefined ? {} : { input: wish.input }), result: { machineId: machine.id } },
      async (tx) => {
        const current = await this.repository.find(machine.id, tx.db);
        if (current === undefined) {
          // The cancelled create took the machine away: what is left to delete is nothing, and that succeeds.
          if (wish.action === 'delete' && cleared === 'machine.create') return;
          throw new MachineNotFound(idOrName);
        }
        checkGeneration(current, ifMatch);
        requireMayGo(current, wish);
        const shown = this.unseen.shown(current);
        if (!mayAct(wish.action, shown.observed, wish.force ?? false))
          throw new MachineStateConflict(shown, wish.action, REMEDIES[wish.action]);
        if (wish.action === 'start') await this.memory.requireRoom(current, tx.db);
        if (NEEDS_POOLS.includes(wish.action)) await this.pools.requireUsable(current, tx.db);
        const again = wish.action === 'start' && wish.byPolicy === true;
        const attempt = wish.action !== 'start' ? current.observed.attempt : again ? current.observed.attempt + 1 : 0;
        await this.states.wish(tx, current, wish.desired, {
          state: wish.transient,
          nextRestartAt: undefined,
          attempt,
          restarts: current.observed.restarts + (again ? 1 : 0),
          nextDeleteAt: undefined,
          deleteAttempts: wish.byPolicy === true ? current.observed.deleteAttempts : undefined,
        });
      },
    );
  }

  /** One operation a machine: kill and forced delete cancel what runs, everything else is refused. Answers what was cancelled. */
  private async clearTheWay(machine: Machine, wish: Wish): Promise<OperationKind | undefined> {
    const open = await this.operations.openFor(machine.id);
    if (open === undefined) return undefined;
    const mayPush = wish.action === 'kill' || (wish.action === 'delete' && wish.force === true);
    if (!mayPush || open.kind === 'machine.delete') throw new MachineBusy(machine, open);
    if (mayCancel(open)) await this.operations.cancel(open.id).catch(ignoreEnded);
    const ended = await this.operations.wait(open.id, 60);
    if (ended.endedAt === undefined) throw new MachineBusy(machine, open);
    return open.kind;
  }
}

/** A delete that was asked for before a machine was protected goes on. */
function requireMayGo(machine: Machine, { action, byPolicy = false }: Wish): void {
  if (action === 'delete' && !byPolicy) requireUnprotected(machine);
}

/** A guest without ACPI cannot be asked to power off: whoever does not want it killed has to do that in the guest. */
function requirePowerButton(machine: Machine, { action, input }: Wish): void {
  if (machine.spec.acpi || (action !== 'stop' && action !== 'restart') || input?.['thenKill'] !== false) return;
  throw new ApiError('machine.no_power_button', {
    detail: `Machine "${machine.name}" has no power button, because it has no ACPI.`,
    remedy: 'Let the guest end itself, leave thenKill out, or create the machine with acpi: true.',
    field: 'thenKill',
  });
}

/** An operation that ended while we asked needs no cancelling. */
function ignoreEnded(error: unknown): void {
  if (!(error instanceof ApiError) || error.code !== 'operation.not_cancellable') throw error;
}

function stopInput(body: StopMachine): Record<string, unknown> {
  return { timeoutSeconds: body.timeoutSeconds ?? 30, thenKill: body.thenKill ?? true };
}
