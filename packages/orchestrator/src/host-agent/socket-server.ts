// SPDX-License-Identifier: Apache-2.0
import { chmodSync, chownSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';
import { ApiError } from '../common/api-error.js';
import { bounded } from '../common/async.js';
import type { Log } from '../common/log.js';
import { checkCall, checkStream, invalidCommand } from './command-checks.js';
import { FrameReader } from './console-frames.js';
import type { CommandControl, HostAgent, HostConsole, OpenConsoleCommand, UploadImageCommand } from './host-agent.js';
import {
  type AnswerLine,
  COMMAND_HEADER,
  COMMANDS,
  type CommandName,
  CONSOLE_HEADER,
  CONSOLE_PROTOCOL,
  decodeCommand,
} from './protocol.js';

const MAX_COMMAND_BYTES = 8 * 1024 * 1024;
/** Events that may wait for a client that takes none: it is told of everything that is when it comes back. */
const MAX_WAITING_EVENT_BYTES = 1024 * 1024;
/** Console input that may wait for a guest before no more of it is read. */
const MAX_INPUT_BYTES = 1024 * 1024;

export interface ServeOptions {
  path: string;
  group: number | undefined;
  log: Log;
}

/** Serves a host agent on a UNIX socket. Who may connect is decided by the mode of the socket alone. */
export async function serveHostAgent(agent: HostAgent, options: ServeOptions): Promise<{ close(): Promise<void> }> {
  mkdirSync(dirname(options.path), { recursive: true, mode: 0o755 });
  rmSync(options.path, { force: true }); // the lock on the data directory says that nobody listens there
  const closing = new AbortController();
  const server = createServer((request, response) => {
    serve(agent, request, response, closing.signal).catch((error: unknown) => {
      options.log.error({ err: error }, 'a command of the api could not be answered');
      response.destroy();
    });
  });
  server.requestTimeout = 0;
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    serveConsole(agent, request, socket).catch(() => socket.destroy());
  });
  const mask = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(options.path, resolve));
  } finally {
    process.umask(mask);
  }
  if (options.group !== undefined) {
    chownSync(options.path, process.getuid?.() ?? 0, options.group);
    chmodSync(options.path, 0o660);
  }
  return {
    close: async () => {
      closing.abort();
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function serve(agent: HostAgent, request: IncomingMessage, response: ServerResponse, closing: AbortSignal): Promise<void> {
  const [, kind, name = ''] = (request.url ?? '').split('/');
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
  const send = (line: AnswerLine | object) => void response.write(`${JSON.stringify(line)}\n`);
  if (kind === 'events') {
    response.flushHeaders();
    const tell = (event: object) => {
      if (response.writableLength > MAX_WAITING_EVENT_BYTES) response.destroy();
      else send(event);
    };
    agent.watch(tell, AbortSignal.any([gone.signal, closing]));
    send({ kind: 'lost' }); // a new listener looks at everything first
    return;
  }
  const control: CommandControl = { signal: gone.signal, onProgress: (progress) => send({ progress }) };
  try {
    send({ result: (await perform(agent, kind ?? '', name, request, control)) ?? null });
  } catch (error) {
    send({ problem: ApiError.from(error).toProblem() });
  }
  response.end();
}

async function perform(agent: HostAgent, kind: string, name: string, request: IncomingMessage, control: CommandControl): Promise<unknown> {
  if (kind === 'upload')
    return agent.uploadImage(
      checkStream<UploadImageCommand>(
        'upload',
        parsed(() => decodeCommand(request.headers[COMMAND_HEADER])),
      ),
      request,
      control,
    );
  const command = await readJson(request);
  if (kind === 'read-console') {
    const log = await agent.readConsole(checkStream('read-console', command));
    return { offset: log.offset, bytes: Buffer.from(log.bytes).toString('base64') };
  }
  if (kind !== 'call' || !Object.hasOwn(COMMANDS, name)) throw invalidCommand('The host agent does not know that command.');
  const call = agent[name as CommandName] as (command: unknown, control: CommandControl) => Promise<unknown>;
  return call.call(agent, checkCall(name as CommandName, command), control);
}

async function serveConsole(agent: HostAgent, request: IncomingMessage, socket: Duplex): Promise<void> {
  socket.on('error', () => socket.destroy());
  const gone = new AbortController();
  // Its other half would stay open: a console without output would never notice that nobody is there any more.
  socket.on('end', () => socket.destroy());
  socket.on('close', () => gone.abort());
  try {
    const command = checkStream<OpenConsoleCommand>(
      'console',
      parsed(() => decodeCommand(request.headers[COMMAND_HEADER])),
    );
    const console = await agent.openConsole(command, gone.signal);
    const facts = JSON.stringify({ offset: console.offset, writer: console.writer, ringBytes: console.ringBytes });
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${CONSOLE_PROTOCOL}\r\n${CONSOLE_HEADER}: ${facts}\r\n\r\n`,
    );
    const take = bounded(socket, MAX_INPUT_BYTES, inputOf(console, command.port !== undefined));
    socket.on('data', (bytes: Buffer) => {
      take(bytes).catch(() => socket.destroy());
    });
    try {
      for await (const chunk of console.data) {
        if (!socket.write(chunk))
          await new Promise<void>((resolve) => {
            socket.once('drain', resolve).once('close', resolve);
          });
      }
    } finally {
      await console.close();
      socket.end();
    }
  } catch (error) {
    const body = JSON.stringify(ApiError.from(error).toProblem());
    socket.end(
      `HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    );
  }
}

/** What takes the bytes of a writer: plain input, or with a name frames. */
function inputOf(console: HostConsole, named: boolean): (bytes: Uint8Array) => Promise<void> {
  if (!named) return (bytes) => console.write(bytes);
  const reader = new FrameReader();
  return async (bytes) => {
    await Promise.all(reader.read(bytes).map((one) => (one instanceof Uint8Array ? console.write(one) : console.resize(one))));
  };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_COMMAND_BYTES) throw invalidCommand('A command is too large for the host agent.');
    chunks.push(chunk as Buffer);
  }
  return size === 0 ? undefined : parsed(() => JSON.parse(Buffer.concat(chunks).toString()));
}

function parsed(parse: () => unknown): unknown {
  try {
    return parse();
  } catch {
    throw invalidCommand('The host agent cannot read a command: it is not JSON.');
  }
}
