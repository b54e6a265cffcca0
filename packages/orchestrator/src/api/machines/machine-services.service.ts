// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { MachineActions } from './machine-actions.service.js';
import { MachineStates } from './machine-states.service.js';

/** What the reconciler acts through, and who wakes it. */
@Injectable()
export class MachineServices {
  private wake: ((time: string) => void) | undefined;

  constructor(readonly states: MachineStates, readonly actions: MachineActions) {}

  /** Sets who runs the reconciler again at a time. */
  onWake(wake: (time: string) => void): void {
    this.wake = wake;
  }

  wakeAt(time: string): void {
    this.wake?.(time);
  }
}
