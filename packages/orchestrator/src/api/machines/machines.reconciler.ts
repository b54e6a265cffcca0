// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { Inject, Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { LOG, type Log } from '../../common/log.js';
import { HostAgent, type MachineObservation } from '../../host-agent/host-agent.js';
import { OperationsService } from '../operations/operations.service.js';
import { HostReboot } from './host-reboot.js';
import type { Machine, StateReason } from './machine.js';
import { MachineActions } from './machine-actions.service.js';
import { failureChange, powerOffChange, reasonOf } from './machine-failure.js';
import { MachineRepository } from './machine.repository.js';
import { MachineStates, type ObservedChange } from './machine-states.service.js';

const SETTLED = ['running', 'paused', 'starting', 'pausing', 'stopping', 'unknown'];

/**
 * Reads what machines should be (database) and what they are (host), and converges. It takes no input and may be killed
 * anywhere: what it finds undone it does the next time. A machine with an open operation is that operation's matter.
 */
@Injectable()
export class MachinesReconciler {
  private reboot: HostReboot | undefined;
  /** A machine that had ended or paused by itself was left to its operation, which may not have seen that. */
  private leftToOperation = false;
  /** How many operations have ended. */
  private ended = 0;
  private wakeAt: (time: string) => void = () => undefined;

  constructor(
    private readonly repository: MachineRepository,
    private readonly agent: HostAgent,
    private readonly operations: OperationsService,
    private readonly states: MachineStates,
    private readonly actions: MachineActions,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** Told at start when the boot id of the host is another one than before; calls `settled` when what ended with it is stored of every machine. */
  noteHostReboot(settled: () => Promise<void>): void {
    this.reboot = new HostReboot(settled);
  }

  /** Sets who runs this again at a time. */
  onWake(wake: (time: string) => void): void {
    this.wakeAt = wake;
  }

  /** Told that an operation on a machine has ended; answers whether it is time for a look. */
  operationEnded(): boolean {
    this.ended += 1;
    return this.leftToOperation;
  }

  async reconcile(): Promise<void> {
    this.leftToOperation = false;
    const { ended } = this;
    const machines = await this.repository.active();
    const { reboot } = this;
    reboot?.begin(machines);
    if (machines.length > 0) await this.look(machines);
    if ((await reboot?.settle(machines)) === true && this.reboot === reboot) this.reboot = undefined;
    // The operation may have ended before it was seen that a machine was left to it.
    if (this.leftToOperation && this.ended !== ended) this.wakeAt(new Date().toISOString());
  }

  private async look(machines: readonly Machine[]): Promise<void> {
    const seen = new Map((await this.agent.listMachines()).map((machine) => [machine.id, machine]));
    const busy = await this.operations.openTargets();
    const idle = machines.filter(({ id }) => !busy.has(id));
    const left = (id: string) => ['stopped', 'paused'].includes(seen.get(id)?.state ?? '');
    if (machines.some(({ id }) => busy.has(id) && left(id))) this.leftToOperation = true;
    await this.states.confirm(idle.filter((machine) => asStored(machine, seen.get(machine.id))));
    for (const machine of idle) {
      try {
        // no question to the database for each of a thousand that are as stored
        if (!asStored(machine, seen.get(machine.id))) {
          if (!(await this.isQuiet(machine))) {
            this.leftToOperation ||= left(machine.id);
            continue;
          }
          await this.converge(machine, seen.get(machine.id));
        }
        this.reboot?.lookedAt(machine.id);
      } catch (error) {
        this.log.warn({ err: error, machine: machine.id }, 'a machine could not be reconciled; the next run tries again');
      }
    }
  }

  /**
   * No operation is open, and none has ended since the machine was read: what was seen on the host in between, a worker not
   * yet booted say, would be held against a machine that runs by now.
   */
  private async isQuiet(machine: Machine): Promise<boolean> {
    if ((await this.operations.openFor(machine.id)) !== undefined) return false;
    const now = await this.repository.find(machine.id);
    return now !== undefined && isDeepStrictEqual([now.desired, now.observed], [machine.desired, machine.observed]);
  }

  private async converge(machine: Machine, seen: MachineObservation | undefined): Promise<void> {
    const { state } = machine.observed;
    if (machine.observed.nextDeleteAt !== undefined) return this.deleteWhenDue(machine.id, machine.observed.nextDeleteAt);
    if (isAlive(seen)) return this.adopt(machine, seen);
    if (SETTLED.includes(state)) return this.noteEnd(machine, seen);
    if (seen !== undefined) await this.agent.releaseMachine({ id: machine.id, generation: machine.desired.generation });
    if (machine.desired.state === 'running') await this.restartWhenDue(machine);
  }

  /** A live worker: what is stored follows it. */
  private async adopt(machine: Machine, seen: MachineObservation): Promise<void> {
    if (asStored(machine, seen)) return;
    const state = stateOf(seen, machine);
    await this.states.observe(machine.id, (current) => ({
      state,
      workerPid: seen.pid,
      generation: current.desired.generation,
      startedAt: current.observed.startedAt ?? new Date().toISOString(),
      reason: undefined,
      nextRestartAt: undefined,
    }));
  }

  private async noteEnd(machine: Machine, seen: MachineObservation | undefined): Promise<void> {
    const withHost = seen?.exit === undefined && this.reboot?.mayHaveEnded(machine.id) === true;
    const { failed, reason } = withHost ? { failed: true, reason: REBOOTED } : reasonOf(seen?.exit);
    await this.states.observe(machine.id, (current): ObservedChange | undefined => {
      if (current.desired.generation !== machine.desired.generation || !SETTLED.includes(current.observed.state)) return undefined;
      return failed ? failureChange(current, reason) : powerOffChange(current, reason);
    });
    this.log.info({ machine: machine.id, code: reason.code }, 'a machine ended');
    await this.agent.releaseMachine({ id: machine.id, generation: machine.desired.generation });
    const current = await this.repository.find(machine.id);
    if (current !== undefined) await this.restartWhenDue(current);
  }

  private async deleteWhenDue(id: string, at: string): Promise<void> {
    if (Date.parse(at) > Date.now()) return this.wakeAt(at);
    await this.actions.deleteAgain(id).catch(ignoreRefusal);
  }

  private async restartWhenDue(machine: Machine): Promise<void> {
    const { nextRestartAt } = machine.observed;
    if (nextRestartAt === undefined) return;
    const wait = Date.parse(nextRestartAt) - Date.now();
    if (wait > 0) return this.wakeAt(nextRestartAt);
    await this.actions.restartByPolicy(machine.id).catch(ignoreRefusal);
  }
}

function isAlive(seen: MachineObservation | undefined): seen is MachineObservation {
  return seen !== undefined && seen.state !== 'stopped' && seen.state !== 'configured';
}

/** State of a live machine; of one that cannot be asked, what was known of it. */
function stateOf(seen: MachineObservation, { observed }: Machine): 'paused' | 'running' {
  return seen.state === 'paused' || (seen.state === 'unreached' && observed.state === 'paused') ? 'paused' : 'running';
}

/** Whether a live machine is what is stored about it, with nothing due. */
function asStored(machine: Machine, seen: MachineObservation | undefined): boolean {
  const { observed } = machine;
  return (
    isAlive(seen) && observed.nextDeleteAt === undefined && observed.state === stateOf(seen, machine) && observed.workerPid === seen.pid
  );
}

/** A client was quicker: what it asked for goes first. */
function ignoreRefusal(error: unknown): void {
  if (!(error instanceof ApiError) || error.status >= 500) throw error;
}

const REBOOTED: StateReason = {
  code: 'host.rebooted',
  detail: 'The host was restarted while the machine ran.',
  remedy: 'Nothing when the restart policy allows it to start again; otherwise start it.',
};
