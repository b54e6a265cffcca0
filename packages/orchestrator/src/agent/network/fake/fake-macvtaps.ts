// SPDX-License-Identifier: Apache-2.0
import { MacvtapLinks } from '../macvtap/macvtap-links.js';

/** Links as notes alone: what would be on the host survives a crash of the process and can be counted by tests. */
export class FakeMacvtaps extends MacvtapLinks {
  protected override make(): Promise<void> {
    return Promise.resolve();
  }

  protected override drop(): Promise<void> {
    return Promise.resolve();
  }
}
