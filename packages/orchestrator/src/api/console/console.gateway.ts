// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { Inject, Injectable } from '@nestjs/common';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { ApiError } from '../../common/api-error.js';
import { bounded } from '../../common/async.js';
import { CLOSE, closeFor } from '../../common/console-close.js';
import { isTerminalSize, PORT_NAME_PATTERN, type TerminalSize } from '../../common/console-ports.js';
import type { Principal } from '../../common/context.js';
import { type ErrorCode, statusOf } from '../../common/error-codes.js';
import { LOG, type Log } from '../../common/log.js';
import { Config } from '../../config/config.js';
import type { HostConsole } from '../../host-agent/host-agent.js';
import { roleAllows } from '../auth/roles.js';
import { AuditService } from '../audit/audit.service.js';
import { KeysService } from '../keys/keys.service.js';
import { MachineConsole } from '../machines/machine-console.service.js';
import { ConsolePlaces, READERS_OF_A_KEY } from './console-places.js';
import { watchHeartbeat } from './heartbeat.js';
import { takeUpgrades } from './upgrades.js';

const PATH = /^\/v1\/machines\/([A-Za-z0-9-]{1,128})\/console$/;
const MAX_FRAME_BYTES = 64 * 1024;
/** A reader with so many bytes not taken is disconnected; it comes back with its offset. */
const MAX_BACKLOG_BYTES = 4 * 1024 * 1024;
/** A writer is not read while so many of its bytes wait for the guest. */
const MAX_INPUT_BYTES = 1024 * 1024;

/** So long a refused client has for the closing handshake. */
const REFUSED_MILLISECONDS = 1_000;

const SWITCHING_PROTOCOLS = 101;

/** WebSockets beside the HTTP routes: attaches a client to the console of a machine. */
@Injectable()
export class ConsoleGateway {
  private readonly sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_FRAME_BYTES, perMessageDeflate: false });
  private readonly places = new ConsolePlaces();

  constructor(
    private readonly keys: KeysService,
    private readonly console: MachineConsole,
    private readonly audit: AuditService,
    private readonly config: Config,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** Takes the upgrades of a server; to be called before it listens. */
  attach(server: Server): void {
    takeUpgrades(
      server,
      (request) => consoleOf(request) !== undefined,
      (request, socket, head) => {
        const wanted = consoleOf(request);
        if (wanted === undefined) return;
        this.greet(request, socket, head, wanted).catch((error: unknown) => {
          this.log.error({ err: error }, 'a console failed');
          socket.destroy();
        });
      },
    );
  }

  get count(): number {
    return this.sockets.clients.size;
  }

  close(): void {
    for (const client of this.sockets.clients) client.close(CLOSE.leaving.status, 'the orchestrator stops');
    this.sockets.close();
  }

  /** Looks at the key first: nothing that a client sends is read before, and who has none is only told so. */
  private async greet(request: IncomingMessage, socket: Duplex, head: Buffer, wanted: Wanted): Promise<void> {
    const { url, write } = wanted;
    const principal = await this.keys.authenticate(tokenOf(request, url) ?? '');
    const permission = write ? 'machines:write' : 'machines:read';
    const allowed = principal !== undefined && roleAllows(principal.role, permission);
    const code = principal === undefined ? 'auth.invalid' : 'auth.forbidden';
    if (!allowed && write) await this.audit.recordConsole(url.pathname, principal, statusOf(code), code);
    this.sockets.handleUpgrade(request, socket, head, (client) => {
      client.on('error', () => client.terminate());
      if (!allowed) {
        refuse(client, code, principal === undefined ? 'a valid API key is needed' : `permission needed: ${permission}`);
        return;
      }
      watchHeartbeat(client, this.config.consolePingMilliseconds);
      this.serve(client, wanted, principal).catch((error: unknown) => {
        this.log.error({ err: error }, 'a console failed');
        client.close(CLOSE.internal.status);
      });
    });
  }

  private async serve(client: WebSocket, wanted: Wanted, principal: Principal): Promise<void> {
    const { machine, write } = wanted;
    if (wanted.port !== undefined && !PORT_NAME_PATTERN.test(wanted.port)) {
      refuse(client, 'console.port_not_found', 'that is the name of no port');
      return;
    }
    const place = write ? undefined : this.places.take(principal.id, machine);
    if (!write && place === undefined) {
      refuse(client, 'console.full', `the API key reads ${READERS_OF_A_KEY} consoles of this machine, or as many as it may in all`);
      return;
    }
    if (place !== undefined) client.once('close', place);
    const gone = new AbortController();
    client.on('close', () => gone.abort());
    client.on(
      'close',
      this.keys.whileValid(principal.id, () => {
        client.close(CLOSE.auth.status, 'the API key was deleted');
        gone.abort(); // nothing more is typed or shown, however long the client takes to close
      }),
    );
    if (gone.signal.aborted) return;
    const opening = this.open(client, wanted, principal, gone.signal);
    const take = bounded<Said>(client, MAX_INPUT_BYTES, async ({ bytes, isText }) => {
      const console = await opening; // what is typed meanwhile waits for it
      if (console?.writer !== true || gone.signal.aborted) return;
      if (!isText || wanted.port === undefined) return console.write(bytes);
      const size = sizeOf(bytes);
      if (size === undefined) client.close(CLOSE.malformed.status, 'a text frame is {"columns": N, "rows": N}');
      else await console.resize(size);
    });
    if (write)
      client.on(
        'message',
        (data, isBinary) => void take(said(data, !isBinary)).catch(() => client.close(CLOSE.stopped.status, 'the machine stopped')),
      );
    const console = await opening;
    if (console === undefined) return;
    client.send(JSON.stringify({ offset: console.offset, writer: console.writer, size: console.ringBytes }));
    await this.pump(client, console);
  }

  private async open(
    client: WebSocket,
    { url, machine, port, write }: Wanted,
    principal: Principal,
    signal: AbortSignal,
  ): Promise<HostConsole | undefined> {
    const offset = url.searchParams.get('offset');
    let console: HostConsole | undefined;
    try {
      console = await this.console.open(machine, {
        write,
        signal,
        ...(port === undefined ? {} : { port }),
        ...(offset !== null && /^\d{1,15}$/.test(offset) ? { offset: Number(offset) } : {}),
      });
      if (write) await this.audit.recordConsole(url.pathname, principal, SWITCHING_PROTOCOLS); // before anything can be typed
      return console;
    } catch (error) {
      await console?.close();
      const failure = ApiError.from(error);
      if (write && console === undefined) await this.audit.recordConsole(url.pathname, principal, failure.status, failure.code);
      const { status } = closeFor(failure.code);
      if (status === CLOSE.internal.status) this.log.error({ err: error }, 'a console could not be opened');
      client.close(status, failure.message.slice(0, 120));
      return undefined;
    }
  }

  private async pump(client: WebSocket, console: HostConsole): Promise<void> {
    try {
      for await (const chunk of console.data) {
        if (client.readyState !== client.OPEN) return;
        client.send(chunk, { binary: true });
        if (client.bufferedAmount > MAX_BACKLOG_BYTES) {
          client.close(CLOSE.slow.status, 'the client does not keep up');
          return;
        }
      }
      client.close(CLOSE.stopped.status, 'the machine stopped');
    } finally {
      await console.close();
    }
  }
}

/** What a request for a console asks for. */
interface Wanted {
  url: URL;
  machine: string;
  /** Absent: the serial console. */
  port?: string;
  write: boolean;
}

/** A frame of a writer. */
interface Said {
  length: number;
  bytes: Buffer;
  isText: boolean;
}

/** Reads a request; undefined when it is for no console. It comes from anybody: no key has been looked at yet. */
function consoleOf({ method, url: target = '/', headers }: IncomingMessage): Wanted | undefined {
  if (method !== 'GET' || headers.upgrade?.toLowerCase() !== 'websocket' || !URL.canParse(target, 'http://localhost')) return undefined;
  const url = new URL(target, 'http://localhost');
  const machine = PATH.exec(url.pathname)?.[1];
  if (machine === undefined) return undefined;
  const port = url.searchParams.get('port');
  return { url, machine, ...(port === null ? {} : { port }), write: url.searchParams.get('write') === 'true' };
}

/** Closes a console that is refused. A client that does not close as well is given no time: each holds memory and a descriptor. */
function refuse(client: WebSocket, code: ErrorCode, reason: string): void {
  const timer = setTimeout(() => client.terminate(), REFUSED_MILLISECONDS);
  client.once('close', () => clearTimeout(timer));
  client.close(closeFor(code).status, reason);
}

function tokenOf(request: IncomingMessage, url: URL): string | undefined {
  return /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? url.searchParams.get('access_token') ?? undefined;
}

/** An empty frame costs something, too. */
function said(data: RawData, isText: boolean): Said {
  const bytes = toBuffer(data);
  return { length: bytes.length + 64, bytes, isText };
}

function sizeOf(bytes: Buffer): TerminalSize | undefined {
  try {
    const size: unknown = JSON.parse(bytes.toString());
    return isTerminalSize(size) ? size : undefined;
  } catch {
    return undefined;
  }
}

function toBuffer(data: RawData): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : Buffer.from(data);
}
