// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, Server, ServerResponse } from 'node:http';

/** How long a client may take to send a request, milliseconds. */
export interface RequestLimits {
  /** For a whole JSON body. */
  body: number;
  /** For an upload to send nothing; as a whole it may take as long as it takes. */
  idle: number;
  /** For the rest of a request that is answered already. */
  rest: number;
}

const LIMITS: RequestLimits = { body: 60_000, idle: 60_000, rest: 5_000 };

/** The one route whose body is no JSON and may take its time. */
const UPLOAD = /^\/v1\/images\/[^/]+\/content(\?|$)/;

/** Takes away the bound that Node sets on whole requests, uploads too; the one on headers stays, and `requestLimits` does the rest. */
export function allowLongUploads(server: Server): void {
  server.requestTimeout = 0;
}

/** Whether a body comes with a request. Express reads nothing of one that has none, and Node tells the end only to who reads. */
export function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || (request.headers['content-length'] ?? '0') !== '0';
}

/** Whether the body is the content of an image. Any other is held in memory until it is whole, so no client may take long with it. */
function isUpload({ method, url = '', headers }: IncomingMessage): boolean {
  return method === 'PUT' && UPLOAD.test(url) && headers['content-type'] === 'application/octet-stream';
}

/** Ends the connection of a client that is too slow with its body; how long the answer takes is not its fault. */
export function requestLimits(
  limits: RequestLimits = LIMITS,
): (request: IncomingMessage, response: ServerResponse, next: () => void) => void {
  return (request, response, next) => {
    if (!hasBody(request)) {
      next();
      return;
    }
    const end = () => {
      request.destroy();
    };
    const timer = isUpload(request) ? setInterval(idleCheck(request, end), limits.idle) : setTimeout(end, limits.body);
    const clear = () => clearTimeout(timer);
    request.once('end', clear).once('close', clear);
    response.once('finish', () => {
      if (request.complete) return;
      const rest = setTimeout(end, limits.rest);
      request.once('close', () => clearTimeout(rest));
    });
    next();
  };
}

/** Ends an upload that has brought nothing since the last look, unless it waits for us to take what it has brought. */
function idleCheck(request: IncomingMessage, end: () => void): () => void {
  let seen = request.socket.bytesRead;
  return () => {
    const { bytesRead } = request.socket;
    if (bytesRead === seen && request.readableLength === 0) end();
    seen = bytesRead;
  };
}
