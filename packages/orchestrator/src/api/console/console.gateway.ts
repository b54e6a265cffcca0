// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { ApiError } from '../../common/api-error.js';
import { bounded } from '../../common/async.js';
import type { Principal } from '../../common/context.js';
import { statusOf } from '../../common/error-codes.js';
import { LOG, type Log } from '../../common/log.js';
import type { HostConsole } from '../../host-agent/host-agent.js';
import { roleAllows } from '../auth/roles.js';
import { AuditService } from '../audit/audit.service.js';
import { KeysService } from '../keys/keys.service.js';
import { MachineConsole } from '../machines/machine-console.service.js';

const PATH = /^\/v1\/machines\/([A-Za-z0-9-]{1,128})\/console$/;
const MAX_FRAME_BYTES = 64 * 1024;
/** A reader with so many bytes not taken is disconnected; it comes back with its offset. */
const MAX_BACKLOG_BYTES = 4 * 1024 * 1024;
/** A writer is not read while so many of its bytes wait for the guest. */
const MAX_INPUT_BYTES = 1024 * 1024;

/** Close codes of the console, as the API document names them. */
const CLOSE = { auth: 4001, notFound: 4004, writerTaken: 4009, stopped: 4010, internal: 1011, slow: 1013, leaving: 1001 } as const;

const SWITCHING_PROTOCOLS = 101;

/** WebSockets beside the HTTP routes: attaches a client to the console of a machine. */
@Injectable()
export class ConsoleGateway {
  private readonly sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_FRAME_BYTES, perMessageDeflate: false });

  constructor(
    private readonly keys: KeysService,
    private readonly console: MachineConsole,
    private readonly audit: AuditService,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** Takes the upgrades of a server; to be called before it listens. */
  attach(server: Server): void {
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => socket.destroy()); // Node listens no more: a reset would end this process
      const url = urlOf(request);
      const machine = PATH.exec(url?.pathname ?? '')?.[1];
      if (url === undefined || machine === undefined) {
        socket.once('finish', () => socket.destroy()); // else a client that never closes holds it for ever
        socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
        return;
      }
      this.sockets.handleUpgrade(request, socket, head, (client) => {
        this.serve(client, request, url, machine).catch((error: unknown) => {
          this.log.error({ err: error }, 'a console failed');
          client.close(CLOSE.internal);
        });
      });
    });
  }

  get count(): number {
    return this.sockets.clients.size;
  }

  close(): void {
    for (const client of this.sockets.clients) client.close(CLOSE.leaving, 'the orchestrator stops');
    this.sockets.close();
  }

  private async serve(client: WebSocket, request: IncomingMessage, url: URL, machine: string): Promise<void> {
    const gone = new AbortController();
    client.on('close', () => gone.abort());
    client.on('error', () => client.terminate());
    const early: RawData[] = [];
    const hold = (data: RawData) => {
      if (early.length < 64) early.push(data);
    };
    client.on('message', hold);
    const write = url.searchParams.get('write') === 'true';
    const principal = await this.keys.authenticate(tokenOf(request, url) ?? '');
    const role = principal?.role;
    if (principal === undefined || role === undefined || !roleAllows(role, write ? 'machines:write' : 'machines:read')) {
      const code = role === undefined ? 'auth.invalid' : 'auth.forbidden';
      if (write) await this.audit.recordConsole(url.pathname, principal, statusOf(code), code);
      client.close(
        CLOSE.auth,
        role === undefined ? 'a valid API key is needed' : `permission needed: ${write ? 'machines:write' : 'machines:read'}`,
      );
      return;
    }
    client.on(
      'close',
      this.keys.whileValid(principal.id, () => {
        client.close(CLOSE.auth, 'the API key was deleted');
        gone.abort(); // nothing more is typed or shown, however long the client takes to close
      }),
    );
    if (gone.signal.aborted) return;
    const console = await this.open(client, url, machine, { write, principal }, gone.signal);
    if (console === undefined) return;
    client.send(JSON.stringify({ offset: console.offset, writer: console.writer, size: console.ringBytes }));
    client.off('message', hold);
    const take = bounded(client, MAX_INPUT_BYTES, (bytes) => console.write(bytes));
    const forward = (data: RawData) => {
      if (!console.writer || gone.signal.aborted) return;
      take(toBuffer(data)).catch(() => client.close(CLOSE.stopped, 'the machine stopped'));
    };
    for (const data of early) forward(data);
    client.on('message', forward);
    await this.pump(client, console);
  }

  private async open(
    client: WebSocket,
    url: URL,
    machine: string,
    { write, principal }: { write: boolean; principal: Principal },
    signal: AbortSignal,
  ): Promise<HostConsole | undefined> {
    const offset = url.searchParams.get('offset');
    let console: HostConsole | undefined;
    try {
      console = await this.console.open(machine, {
        write,
        signal,
        ...(offset !== null && /^\d{1,15}$/.test(offset) ? { offset: Number(offset) } : {}),
      });
      if (write) await this.audit.recordConsole(url.pathname, principal, SWITCHING_PROTOCOLS); // before anything can be typed
      return console;
    } catch (error) {
      await console?.close();
      const failure = ApiError.from(error);
      if (write && console === undefined) await this.audit.recordConsole(url.pathname, principal, failure.status, failure.code);
      const code =
        { 'machine.not_found': CLOSE.notFound, 'machine.console_unavailable': CLOSE.writerTaken, 'worker.gone': CLOSE.stopped }[
          failure.code as string
        ] ?? CLOSE.internal;
      if (code === CLOSE.internal) this.log.error({ err: error }, 'a console could not be opened');
      client.close(code, failure.message.slice(0, 120));
      return undefined;
    }
  }

  private async pump(client: WebSocket, console: HostConsole): Promise<void> {
    try {
      for await (const chunk of console.data) {
        if (client.readyState !== client.OPEN) return;
        client.send(chunk, { binary: true });
        if (client.bufferedAmount > MAX_BACKLOG_BYTES) {
          client.close(CLOSE.slow, 'the client does not keep up');
          return;
        }
      }
      client.close(CLOSE.stopped, 'the machine stopped');
    } finally {
      await console.close();
    }
  }
}

/** The address asked for; undefined when it is none. It comes from anybody: no key has been looked at yet. */
function urlOf(request: IncomingMessage): URL | undefined {
  try {
    return new URL(request.url ?? '/', 'http://localhost');
  } catch {
    return undefined;
  }
}

function tokenOf(request: IncomingMessage, url: URL): string | undefined {
  return /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? url.searchParams.get('access_token') ?? undefined;
}

function toBuffer(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
