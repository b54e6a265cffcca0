// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { MachineActions } from './machine-actions.service.js';
import { MachineStates } from './machine-states.service.js';

/** What the reconciler acts through. */
@Injectable()
export class MachineServices {
  constructor(
    readonly states: MachineStates,
    readonly actions: MachineActions,
  ) {}
}
