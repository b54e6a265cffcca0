// SPDX-License-Identifier: Apache-2.0
import { ConnectionError } from '../core/errors.js';
import { isNode } from './environment.js';
import type { Socket, SocketEvents } from './socket.js';
import type { Transport } from './transport.js';

/** Close code 1013, as the server itself uses it for a reader that is too slow. */
const tryAgainLater = 1013;

/** Opens a WebSocket: Node's own HTTP client where there is Node (it can send the key as a header), else the browser's. */
export async function openSocket(transport: Transport, path: string, events: SocketEvents, signal?: AbortSignal): Promise<Socket> {
  if (isNode()) {
    const { openNodeSocket } = await import('./node-socket.js');
    return openNodeSocket(`${transport.baseUrl}${path}`, transport.authorization(), events, signal);
  }
  return openBrowserSocket(transport, path, events, signal);
}

/** Opens the WebSocket of a browser. */
export function openBrowserSocket(transport: Transport, path: string, events: SocketEvents, signal?: AbortSignal): Promise<Socket> {
  const url = new URL(`${transport.baseUrl}${path}`);
  url.protocol = url.protocol.replace('http', 'ws');
  if (transport.accessToken !== undefined) url.searchParams.set('access_token', transport.accessToken);
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  signal?.addEventListener('abort', () => socket.close(), { once: true });
  return new Promise((resolve, reject) => {
    let opened = false;
    // It cannot be paused. The reader attaches again at its offset, which does not count what is dropped here.
    const pause = (): void => {
      socket.onmessage = null;
      socket.onclose = null;
      socket.close(1000);
      events.close(tryAgainLater, 'the reader does not keep up');
    };
    socket.onopen = () => {
      opened = true;
      resolve({
        sendText: (text) => socket.send(text),
        send: (bytes) => socket.send(bytes as Uint8Array<ArrayBuffer>),
        close: () => socket.close(1000),
        pause,
        resume: () => undefined,
      });
    };
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) =>
      typeof data === 'string' ? events.text(data) : events.bytes(new Uint8Array(data));
    socket.onclose = ({ code, reason }) => {
      if (opened) events.close(code, reason);
      else
        reject(
          new ConnectionError(`Cannot open a console at ${url.host}`, {
            code: 'connection.failed',
            remedy: 'Check the address and that the orchestrator runs',
          }),
        );
    };
  });
}
