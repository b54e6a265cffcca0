// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { NewEvent, Target } from '../../common/event.js';
import { Database } from '../../database/database.js';
import type { MachineAlarm } from '../../host-agent/host-agent.js';
import type { MachineSpec } from './machine.js';
import { MachineRepository } from './machine.repository.js';
import { targetOf } from './machine-states.service.js';

/**
 * A guest decides how often its watchdog runs out, and one that has taken over its worker what else is told of it: of each thing no more
 * than one event in this time, or it could push out those of others.
 */
const QUIET_MILLISECONDS = 10_000;

/** Tells of what befell guests that may run on: a watchdog not reset in time, no room for a disk, a network or a folder that is gone. */
@Injectable()
export class MachineAlarms {
  /** When each thing was told of last (`performance.now()`), no longer ago than it matters. */
  private readonly told = new Map<string, number>();

  constructor(
    private readonly repository: MachineRepository,
    private readonly database: Database,
  ) {}

  /** Makes an event of it; of one in quick succession, and of what the machine does not have or when it is gone, nothing. */
  async note(id: string, alarm: MachineAlarm, now = performance.now()): Promise<void> {
    for (const [thing, at] of this.told) if (now - at >= QUIET_MILLISECONDS) this.told.delete(thing);
    const thing = JSON.stringify([id, alarm.kind, alarm.kind === 'watchdog' ? '' : alarm.name]);
    if (this.told.has(thing)) return;
    this.told.set(thing, now);
    const machine = await this.repository.find(id);
    if (machine === undefined || !isOf(machine.spec, alarm)) {
      this.told.delete(thing);
      return;
    }
    await this.database.write(async (tx) => {
      const current = await this.repository.find(id, tx.db);
      if (current !== undefined) tx.emit(toEvent(targetOf(current), alarm));
    });
  }
}

/** Whether a machine has what its worker tells of. */
function isOf({ disks, interfaces, shares = [], watchdog }: MachineSpec, alarm: MachineAlarm): boolean {
  if (alarm.kind === 'watchdog') return watchdog !== undefined;
  if (alarm.kind === 'disk-full') return disks.some(({ name }) => name === alarm.name);
  if (alarm.kind === 'link-lost') return interfaces.some(({ name }) => name === alarm.name);
  return shares.some(({ tag }) => tag === alarm.name);
}

function toEvent(target: Target, alarm: MachineAlarm): NewEvent {
  if (alarm.kind === 'watchdog') return { kind: 'machine.watchdog', target, data: { action: alarm.action } };
  if (alarm.kind === 'disk-full') return { kind: 'machine.disk_full', target, data: { disk: alarm.name } };
  if (alarm.kind === 'link-lost') return { kind: 'machine.link_lost', target, data: { interface: alarm.name } };
  return { kind: 'machine.share_lost', target, data: { share: alarm.name } };
}
