// SPDX-License-Identifier: Apache-2.0
// The client half of RFC 6455 over Node's HTTP client. Node 20 has no WebSocket of its own, later ones cannot send headers.
import type { Socket as NetSocket } from 'node:net';
import { ConnectionError, errorFor } from '../core/errors.js';
import { FrameReader, Opcode, encodeFrame } from './frames.js';
import type { Socket, SocketEvents } from './socket.js';

// Named at run time so that a browser bundler leaves these alone.
const nodeModule = <T>(name: string): Promise<T> => import(/* @vite-ignore */ /* webpackIgnore: true */ `node:${name}`) as Promise<T>;

export async function openNodeSocket(
  url: string,
  headers: Record<string, string>,
  events: SocketEvents,
  signal?: AbortSignal,
): Promise<Socket> {
  const target = new URL(url);
  const secure = target.protocol === 'https:';
  const { request } = await nodeModule<typeof import('node:http')>(secure ? 'https' : 'http');
  const key = btoa(String.fromCharCode(...globalThis.crypto.getRandomValues(new Uint8Array(16))));
  return new Promise((resolve, reject) => {
    const handshake = request(target, {
      ...(signal === undefined ? {} : { signal }),
      headers: { ...headers, connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': key },
    });
    handshake.on('upgrade', (_response, socket, head) => resolve(attach(socket as NetSocket, head, events)));
    handshake.on('response', (response) => {
      response.resume();
      const status = response.statusCode ?? 0;
      reject(errorFor({ status, code: `http.${status}`, title: `The server did not open a WebSocket (status ${status})` }));
    });
    handshake.on('error', (cause) =>
      reject(
        new ConnectionError(`Cannot open a console at ${target.host}`, {
          code: 'connection.failed',
          remedy: 'Check the address and that the orchestrator runs (`flotilla up`)',
          cause,
        }),
      ),
    );
    handshake.end();
  });
}

function attach(socket: NetSocket, head: Uint8Array, events: SocketEvents): Socket {
  let closed = false;
  const finish = (code: number, reason: string): void => {
    if (closed) return;
    closed = true;
    socket.end();
    socket.resume(); // a paused one would never see the other end close, and keep the process alive
    events.close(code, reason);
  };
  const reader = new FrameReader();
  const take = (bytes: Uint8Array): void => {
    if (closed) return;
    try {
      for (const { opcode, payload } of reader.read(bytes)) {
        if (opcode === Opcode.Text) events.text(new TextDecoder().decode(payload));
        else if (opcode === Opcode.Binary) events.bytes(payload);
        else if (opcode === Opcode.Ping) socket.write(encodeFrame(Opcode.Pong, payload));
        else if (opcode === Opcode.Close) finish(...closeReason(payload));
      }
    } catch (error) {
      finish(1002, error instanceof Error ? error.message : String(error));
      socket.destroy();
    }
  };
  socket.setNoDelay(true);
  socket.on('data', take);
  socket.on('error', () => finish(1006, 'connection error'));
  socket.on('close', () => finish(1006, 'connection closed'));
  if (head.length > 0) queueMicrotask(() => take(head));
  return {
    sendText: (text) => void socket.write(encodeFrame(Opcode.Text, new TextEncoder().encode(text))),
    send: (bytes) => void socket.write(encodeFrame(Opcode.Binary, bytes)),
    close: () => {
      if (closed) return;
      socket.write(encodeFrame(Opcode.Close, new Uint8Array([0x03, 0xe8])));
      finish(1000, '');
    },
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
  };
}

function closeReason(payload: Uint8Array): [code: number, reason: string] {
  if (payload.length < 2) return [1005, ''];
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  return [view.getUint16(0), new TextDecoder().decode(payload.subarray(2))];
}
