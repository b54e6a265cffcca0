// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { sleep } from '../../common/async.js';
import type { Machine, MachineState } from './machine.js';
import { MachineRepository } from './machine.repository.js';

/** So long requests wait for the first look at the host; it takes a few hundredths of a second, or there is no agent. */
const FIRST_LOOK_MILLISECONDS = 1_000;

/** The states that say something about a guest, and not about what is being done to it. */
const CLAIMS: readonly MachineState[] = ['running', 'paused'];

/**
 * Machines that an earlier process left alive and this one has not seen yet. The host may have been restarted meanwhile, so what
 * is stored about them is no knowledge: clients are shown `unknown` until the host was looked at. Requests wait a moment for that
 * look, so that they rarely are.
 */
@Injectable()
export class UnseenMachines {
  private readonly stored = new Map<string, MachineState>();
  private readonly looked = new AbortController();
  private waiting: Promise<void> | undefined;
  private open = false;

  constructor(private readonly repository: MachineRepository) {}

  /** Notes them. To be called before the first request is taken. */
  async collect(): Promise<void> {
    for (const { id, state } of await this.repository.inStates(CLAIMS)) this.stored.set(id, state);
    this.open = this.stored.size === 0;
  }

  /** Resolves when the first look is over, or takes too long. Undefined when there is nothing to wait for. */
  firstLook(): Promise<void> | undefined {
    if (this.open) return undefined;
    this.waiting ??= sleep(FIRST_LOOK_MILLISECONDS, this.looked.signal)
      .catch(() => undefined)
      .then(() => {
        this.open = true;
      });
    return this.waiting;
  }

  /** Told when the host was looked at for the first time. */
  endFirstLook(): void {
    this.looked.abort();
  }

  /** Told when a machine was looked at, or is about to be changed. Answers whether clients were shown `unknown` until now. */
  seen(id: string): boolean {
    return this.stored.delete(id) && this.open;
  }

  has(id: string): boolean {
    return this.stored.has(id);
  }

  /** A machine as clients may be shown it. */
  shown<M extends Pick<Machine, 'id' | 'observed'>>(machine: M): M {
    if (!this.has(machine.id)) return machine;
    const { workerPid: _pid, addresses, state, ...observed } = machine.observed;
    return {
      ...machine,
      observed: {
        ...observed,
        state: 'unknown',
        reason: {
          code: 'machine.not_seen',
          detail: `The host was not looked at since the orchestrator was started; before, the machine was ${state}.`,
          remedy: 'Wait: an event tells when it was seen. If that takes long, look whether the host agent runs.',
        },
        addresses: addresses.map(({ lease: _lease, ...address }) => address),
      },
    };
  }

  /** Numbers of machines by stored state, as clients may be shown them. */
  shownCounts(counts: Readonly<Record<string, number>>): Record<string, number> {
    const shown: Record<string, number> = { ...counts };
    for (const state of this.stored.values()) {
      shown[state] = (shown[state] ?? 1) - 1;
      shown['unknown'] = (shown['unknown'] ?? 0) + 1;
    }
    return shown;
  }
}
