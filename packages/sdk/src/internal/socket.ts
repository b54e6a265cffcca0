// SPDX-License-Identifier: Apache-2.0
import type { Source } from './byte-queue.js';

/** What a socket tells. */
export interface SocketEvents {
  text(text: string): void;
  bytes(bytes: Uint8Array): void;
  /** Comes exactly once, last. */
  close(code: number, reason: string): void;
}

/** A WebSocket, as far as a console needs one. A paused one brings no bytes; a browser's cannot be paused and closes instead. */
export interface Socket extends Source {
  send(bytes: Uint8Array): void;
  sendText(text: string): void;
  close(): void;
}
