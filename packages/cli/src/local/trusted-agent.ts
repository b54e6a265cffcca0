// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionError } from '@flotilla/sdk';
import { ownersOf, type SocketTables } from './sockets.js';

/** A connection is in the kernel's table a moment after it was made. */
const looks = 5;
const betweenLooksMs = 10;

/**
 * Makes connections whose other end is a process on this host of root, of our own user or of one of `users`; any other is closed before
 * a byte was sent. Every user of a host may listen on a port that its orchestrator has left; such a listener would be given the key.
 * The connection itself is looked at, not the port before it: whoever takes the port in between is found as well.
 */
export class TrustedAgent extends http.Agent {
  readonly #trusted: ReadonlySet<number>;
  readonly #tables: () => SocketTables;

  constructor(users: readonly number[], tables: () => SocketTables = readTables) {
    super();
    this.#trusted = new Set([0, process.geteuid?.() ?? 0, ...users]);
    this.#tables = tables;
  }

  override createConnection(options: http.ClientRequestArgs, callback?: (error: Error | null, socket: Duplex) => void): undefined {
    const onCreated = callback as (error: Error | null, socket?: Duplex) => void;
    const socket = connect(options as NetConnectOpts);
    const onError = (error: Error): void => onCreated(error);
    socket.once('error', onError);
    socket.once('connect', () => {
      this.#check(socket).then(
        () => {
          socket.off('error', onError);
          onCreated(null, socket);
        },
        (error: Error) => {
          socket.off('error', onError).on('error', () => undefined);
          socket.destroy();
          onCreated(error);
        },
      );
    });
  }

  async #check(socket: Socket): Promise<void> {
    const { localAddress = '', localPort = 0, remoteAddress = '', remotePort = 0 } = socket;
    const server = { address: remoteAddress, port: remotePort };
    for (let look = 1; ; look += 1) {
      const owners = ownersOf(server, { address: localAddress, port: localPort }, this.#tables());
      const foreign = [...(owners ?? [])].find((uid) => !this.#trusted.has(uid));
      if (foreign !== undefined) throw untrusted(server.port, `belongs to user ${foreign}, neither root nor you`);
      if (owners !== undefined) return;
      if (look === looks) throw untrusted(server.port, 'is no process that this host shows');
      await sleep(betweenLooksMs);
    }
  }
}

function untrusted(port: number, why: string): ConnectionError {
  return new ConnectionError(`What listens on port ${port} ${why}: it was not sent your API key`, {
    code: 'connection.untrusted',
    remedy: `Find out who listens there (\`ss -ltnpe sport = :${port}\`) and start your own orchestrator (\`flotilla up\`); if you trust it, give both its address and a key: --url and --api-key, or FLOTILLA_URL and FLOTILLA_API_KEY`,
  });
}

/** No tables, no trust: where they cannot be read, both are empty. */
function readTables(): SocketTables {
  return ['/proc/net/tcp', '/proc/net/tcp6'].map((path) => {
    try {
      return readFileSync(path, 'latin1');
    } catch {
      return '';
    }
  });
}
