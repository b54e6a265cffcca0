// SPDX-License-Identifier: Apache-2.0
import type { TerminalSize } from '../../../common/console-ports.js';
import { CONSOLE_KEEP_BYTES } from '../../console-archive.js';
import { ConsoleRing } from './console-ring.js';

/** A port of a machine that only pretends: it gives back what it gets, and says how large the terminal is when that changes. */
export class FakePort {
  readonly ring = new ConsoleRing(CONSOLE_KEEP_BYTES);
  writerTaken = false;

  type(bytes: Uint8Array): void {
    this.ring.append(bytes);
  }

  resize({ columns, rows }: TerminalSize): void {
    this.ring.append(Buffer.from(`[${rows} ${columns}]`));
  }
}
