// SPDX-License-Identifier: Apache-2.0
import type { WebSocket } from 'ws';

/**
 * Pings a client, and ends one that has sent nothing by the next time, not even the answer: a writer that vanished without a word
 * would hold the write lane for ever. While its input waits for the guest it is not read; then nothing of it can be missed.
 */
export function watchHeartbeat(client: WebSocket, milliseconds: number): void {
  let heard = true;
  const hear = () => {
    heard = true;
  };
  const timer = setInterval(() => {
    if (!heard && !client.isPaused) {
      client.terminate();
      return;
    }
    heard = client.isPaused;
    client.ping();
  }, milliseconds);
  client.on('pong', hear).on('message', hear);
  client.once('close', () => clearInterval(timer));
}
