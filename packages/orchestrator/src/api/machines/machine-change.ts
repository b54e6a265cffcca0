// SPDX-License-Identifier: Apache-2.0
import type { UpdateMachine } from './dto/machine-requests.dto.js';
import { planCloudInit } from './cloud-init-checks.js';
import { planBalloon } from './machine-balloon.js';
import { checkHardware } from './machine-hardware.js';
import { type Machine, type MachineSpec, toPolicy } from './machine.js';
import { MachineProtected, MachineStateConflict } from './machine.errors.js';

/** What a guest that runs has been told, or its network knows it by: changed while there is none. */
const WHILE_STOPPED = ['name', 'cpus', 'memoryMiB', 'cloudInit'] as const;

/** Makes a machine what is asked for; refuses what cannot be, with the field at fault. What depends on the host is looked at before. */
export function changeMachine(machine: Machine, body: UpdateMachine): void {
  const deep = WHILE_STOPPED.find((field) => body[field] !== undefined);
  if (deep !== undefined) requireStopped(machine, deep);
  if (body.cpus !== undefined || body.memoryMiB !== undefined) machine.spec = resized(machine.spec, body);
  Object.assign(machine.spec, planCloudInit(body, machine.spec.disks));
  if (body.restartPolicy !== undefined) machine.spec.restartPolicy = toPolicy(body.restartPolicy);
  machine.name = body.name ?? machine.name;
  machine.notes = body.notes ?? machine.notes;
  machine.protected = body.protected ?? machine.protected;
  machine.labels = body.labels ?? machine.labels;
}

/** Refuses to delete a machine that somebody wants to keep, however it is asked. */
export function requireUnprotected(machine: Machine): void {
  if (machine.protected) throw new MachineProtected(machine);
}

/** Whether nothing of it runs, and it is not on its way out. */
export function isAtRest({ observed: { state, nextDeleteAt } }: Pick<Machine, 'observed'>): boolean {
  return nextDeleteAt === undefined && (state === 'stopped' || state === 'failed');
}

function resized(spec: MachineSpec, { cpus = spec.cpus, memoryMiB = spec.memoryMiB }: UpdateMachine): MachineSpec {
  const changed = { ...spec, cpus, memoryMiB };
  checkHardware(changed);
  planBalloon(changed);
  return changed;
}

function requireStopped(machine: Machine, field: string): void {
  if (isAtRest(machine)) return;
  throw new MachineStateConflict(machine, `change its ${field}`, 'Stop the machine first.', field);
}
