// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

type Take = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/**
 * Takes the upgrades that are wanted. A request that offers any other protocol, as curl does with `h2c`, is answered as if it did not
 * (RFC 9110, 7.8), by its route, with its problem document and audit record.
 */
export function takeUpgrades(server: Server, wanted: (request: IncomingMessage) => boolean, take: Take): void {
  // Node asks this since 24.9. Older ones take every offer for an upgrade once somebody listens, and have let go of the connection by then.
  Object.assign(server, { shouldUpgradeCallback: wanted });
  const answers = new WeakMap<Duplex, ServerResponse>();
  server.on('request', (request: IncomingMessage, response: ServerResponse) => answers.set(request.socket, response));
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const destroy = () => socket.destroy();
    socket.on('error', destroy); // Node listens no more: a reset would end this process
    if (wanted(request)) {
      take(request, socket, head);
      return;
    }
    afterAnswer(answers.get(socket), () => {
      if (socket.destroyed) return;
      socket.off('error', destroy).unshift(Buffer.concat([headWithoutOffer(request), head]));
      server.emit('connection', socket);
    });
  });
}

/** A client may have sent the request behind another, whose answer goes first. */
function afterAnswer(answer: ServerResponse | undefined, go: () => void): void {
  if (answer === undefined || answer.closed) go();
  else answer.once('close', go);
}

/** The head of a request as it came, but for its offer. It was parsed, so no part of it has a line break. */
function headWithoutOffer({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2)
    if (rawHeaders[at]?.toLowerCase() !== 'upgrade') lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}
