// SPDX-License-Identifier: Apache-2.0
import { ConnectionError } from '../core/errors.js';
import { isNode } from './environment.js';
import type { Transport } from './transport.js';

/** What a socket tells. */
export interface SocketEvents {
  text(text: string): void;
  bytes(bytes: Uint8Array): void;
  /** Comes exactly once, last. */
  close(code: number, reason: string): void;
}

/** A WebSocket, as far as a console needs one. */
export interface Socket {
  send(bytes: Uint8Array): void;
  close(): void;
}

/** Opens a WebSocket: Node's own HTTP client where there is Node (it can send the key as a header), else the browser's. */
export async function openSocket(transport: Transport, path: string, events: SocketEvents): Promise<Socket> {
  if (isNode()) {
    const { openNodeSocket } = await import('./node-socket.js');
    return openNodeSocket(`${transport.baseUrl}${path}`, transport.authorization(), events);
  }
  return openBrowserSocket(transport, path, events);
}

function openBrowserSocket(transport: Transport, path: string, events: SocketEvents): Promise<Socket> {
  const url = new URL(`${transport.baseUrl}${path}`);
  url.protocol = url.protocol.replace('http', 'ws');
  if (transport.accessToken !== undefined) url.searchParams.set('access_token', transport.accessToken);
  const socket = new WebSocket(url);
  socket.binaryType = 'arraybuffer';
  return new Promise((resolve, reject) => {
    let opened = false;
    socket.onopen = () => {
      opened = true;
      resolve({ send: (bytes) => socket.send(bytes as Uint8Array<ArrayBuffer>), close: () => socket.close(1000) });
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
