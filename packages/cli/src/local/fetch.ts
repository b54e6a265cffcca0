// SPDX-License-Identifier: Apache-2.0
import http from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ReadableStream as NodeStream } from 'node:stream/web';

/** Statuses whose answers have no body (Fetch standard, "null body status"). */
const bodiless = new Set([204, 205, 304]);

/** A `fetch` through an agent of Node, which the built-in one does not take. As much of it as the SDK uses; redirects are not followed. */
export function fetchThrough(agent: http.Agent): typeof globalThis.fetch {
  return (input, init = {}) =>
    new Promise((resolve, reject) => {
      const { method = 'GET', headers, body, signal } = init;
      const fail = (error: unknown): void => reject(signal?.aborted === true ? signal.reason : error);
      const request = http.request(input instanceof Request ? input.url : input, {
        agent,
        method,
        headers: Object.fromEntries(new Headers(headers)),
        ...(signal ? { signal } : {}),
      });
      request.on('error', fail);
      request.on('response', (answer) => resolve(responseOf(answer)));
      if (body === undefined || body === null || typeof body === 'string') request.end(body ?? undefined);
      else pipeline(Readable.fromWeb(streamOf(body)), request).catch(fail);
    });
}

function streamOf(body: NonNullable<RequestInit['body']>): NodeStream {
  return (body instanceof ReadableStream ? body : new Response(body).body) as NodeStream;
}

function responseOf(answer: http.IncomingMessage): Response {
  const status = answer.statusCode ?? 0;
  const headers = new Headers();
  for (let index = 0; index + 1 < answer.rawHeaders.length; index += 2)
    headers.append(answer.rawHeaders[index] ?? '', answer.rawHeaders[index + 1] ?? '');
  if (bodiless.has(status)) answer.resume();
  const body = bodiless.has(status) ? null : (NodeStream.from(answer) as ReadableStream<Uint8Array>);
  return new Response(body, { status, statusText: answer.statusMessage ?? '', headers });
}
