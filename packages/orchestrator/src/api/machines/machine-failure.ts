// SPDX-License-Identifier: Apache-2.0
import type { MachineExitFacts } from '../../host-agent/host-agent.js';
import { backoffMilliseconds, type Machine, type StateReason, wantsRestart } from './machine.js';
import type { ObservedChange } from './machine-states.service.js';

/** A machine that has run so long starts to count its attempts anew. */
const STABLE_MILLISECONDS = 60_000;

/** What is stored when a machine ended without having been asked to: failed, and when the policy tries again. */
export function failureChange(machine: Machine, reason: StateReason): ObservedChange {
  return { state: 'failed', reason, ...ended(machine, true) };
}

/** What is stored when the guest powered itself off. */
export function powerOffChange(machine: Machine, reason: StateReason): ObservedChange {
  return { state: 'stopped', reason, ...ended(machine, false) };
}

/** Why a machine ended, in the words of the API. */
export function reasonOf(exit: MachineExitFacts | undefined): { failed: boolean; reason: StateReason } {
  const detail = exit?.detail ?? 'The worker process of the machine is gone.';
  const registers = exit?.registers === undefined ? {} : { registers: exit.registers };
  switch (exit?.reason) {
    case 'powered-off':
      return { failed: false, reason: { code: 'guest.powered_off', detail, remedy: 'Start the machine to use it again.' } };
    case 'reset':
      return { failed: false, reason: { code: 'guest.rebooted', detail, remedy: 'Start the machine, or set onReboot to restart.' } };
    case 'panic':
      return {
        failed: true,
        reason: { code: 'guest.panic', detail, remedy: 'Read the console log: GET /v1/machines/{machine}/logs.', ...registers },
      };
    case 'triple-fault':
      return {
        failed: true,
        reason: { code: 'guest.triple_fault', detail, remedy: 'Read the console log; check that kernel and machine fit.', ...registers },
      };
    case 'watchdog':
      return {
        failed: true,
        reason: { code: 'guest.watchdog', detail, remedy: 'Read the console log for why the guest hung: GET /v1/machines/{machine}/logs.' },
      };
    case 'error':
      return {
        failed: true,
        reason: { code: 'worker.failed', detail, remedy: 'Read the log of the worker; run `flotilla doctor`.', ...registers },
      };
    case 'killed':
    case 'worker-exited':
    case undefined:
      return {
        failed: true,
        reason: {
          code: 'worker.gone',
          detail,
          remedy: 'Look in the log of the host for why the process ended; the restart policy may start it again.',
        },
      };
  }
}

function ended(machine: Machine, failed: boolean): ObservedChange {
  const { startedAt, attempt } = machine.observed;
  const stable = startedAt !== undefined && Date.now() - Date.parse(startedAt) > STABLE_MILLISECONDS;
  const next = stable ? 0 : attempt;
  const again = machine.desired.state === 'running' && wantsRestart(machine.spec.restartPolicy, failed, next);
  return {
    attempt: next,
    workerPid: undefined,
    startedAt: undefined,
    nextRestartAt: again ? new Date(Date.now() + backoffMilliseconds(machine.spec.restartPolicy, next)).toISOString() : undefined,
  };
}
