// SPDX-License-Identifier: Apache-2.0
import type { MachineExitFacts, MachineObservation } from '../../../host-agent/host-agent.js';
import type { NativeMachine } from './native-module.js';

/** A machine whose worker we are connected to; stopped once it has ended, until it is released. */
export interface ConnectedMachine {
  kind: 'connected';
  id: string;
  machine: NativeMachine;
  state: MachineObservation['state'];
  exit?: MachineExitFacts;
  /** Ends our listening to its events. */
  listening: AbortController;
}

/** A machine whose worker ended while nobody looked: its run directory is there until it is released. Without `exit` the host ended it. */
export interface LeftMachine {
  kind: 'left';
  id: string;
  state: 'stopped';
  exit?: MachineExitFacts;
}

/** A machine whose worker lives but could not be adopted: it is tried again, and can be killed. */
export interface UnreachedMachine {
  kind: 'unreached';
  id: string;
  state: 'unreached';
  pid: number;
}

export type HeldMachine = ConnectedMachine | LeftMachine | UnreachedMachine;

/** A machine as others see it. */
export function observe(held: HeldMachine): MachineObservation {
  if (held.kind === 'unreached') return { id: held.id, state: held.state, pid: held.pid };
  const { id, state, exit } = held;
  const pid = held.kind === 'connected' && state !== 'stopped' ? held.machine.pid : null;
  return { id, state, ...(pid === null ? {} : { pid }), ...(exit === undefined ? {} : { exit }) };
}
