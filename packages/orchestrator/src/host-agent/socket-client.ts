// SPDX-License-Identifier: Apache-2.0
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ApiError, type ProblemDocument } from '../common/api-error.js';
import { sleep } from '../common/async.js';
import { inputFrames, sizeFrame } from './console-frames.js';
import {
  type CommandControl,
  type ConsoleLog,
  HostAgent,
  type HostCommands,
  type HostConsole,
  type HostEvent,
  type ImageFacts,
  type OpenConsoleCommand,
  type UploadImageCommand,
} from './host-agent.js';
import {
  type AnswerLine,
  COMMAND_HEADER,
  COMMANDS,
  type CommandName,
  CONSOLE_HEADER,
  CONSOLE_PROTOCOL,
  encodeCommand,
  lines,
} from './protocol.js';

const RECONNECT_MILLISECONDS = 500;

/** What the transport itself does; the commands are added below, one request each. */
abstract class SocketTransport extends HostAgent {
  constructor(private readonly path: string) {
    super();
  }

  override async uploadImage(command: UploadImageCommand, content: Readable, control: CommandControl): Promise<ImageFacts> {
    const request = httpRequest({
      socketPath: this.path,
      method: 'POST',
      path: '/upload',
      headers: { [COMMAND_HEADER]: encodeCommand(command) },
      ...signalOf(control),
    });
    const answered = this.answer(request);
    answered.catch(() => undefined); // looked at below, after the upload
    let agentLeft = false;
    request.once('error', () => {
      agentLeft = content.errored === null; // else the content broke off, and took the request with it
    });
    await pipeline(content, request).catch((error: unknown) => {
      if (!agentLeft) throw error;
    });
    return readResult(await answered, control) as Promise<ImageFacts>;
  }

  override async readConsole(command: { id: string; offset?: number; tailBytes?: number }): Promise<ConsoleLog> {
    const log = (await this.send('/read-console', command, {})) as { offset: number; bytes: string };
    return { offset: log.offset, bytes: Buffer.from(log.bytes, 'base64') };
  }

  override openConsole(command: OpenConsoleCommand, signal?: AbortSignal): Promise<HostConsole> {
    const named = command.port !== undefined;
    return new Promise((resolve, reject) => {
      const request = httpRequest({
        socketPath: this.path,
        path: '/console',
        headers: { Connection: 'Upgrade', Upgrade: CONSOLE_PROTOCOL, [COMMAND_HEADER]: encodeCommand(command) },
        ...(signal === undefined ? {} : { signal }),
      });
      request.on('error', (error) => reject(unavailable(error)));
      request.on('response', (response) => {
        readProblem(response).then(reject, reject);
      });
      request.on('upgrade', (response, socket, head) => {
        const facts = JSON.parse(String(response.headers[CONSOLE_HEADER])) as { offset: number; writer: boolean; ringBytes: number };
        socket.on('error', () => socket.destroy());
        // The signal of a request ends with its upgrade.
        const leave = (): void => void socket.destroy();
        signal?.addEventListener('abort', leave, { once: true });
        socket.once('close', () => signal?.removeEventListener('abort', leave));
        if (signal?.aborted === true) leave();
        if (head.length > 0) socket.unshift(head);
        resolve({
          ...facts,
          data: bytesOf(socket, signal),
          write: (bytes) => sendAll(socket, named ? inputFrames(bytes) : bytes),
          resize: async (size) => (named ? sendAll(socket, sizeFrame(size)) : undefined),
          close: () => {
            socket.destroy();
            return Promise.resolve();
          },
        });
      });
      request.end();
    });
  }

  override watch(listener: (event: HostEvent) => void, signal: AbortSignal): void {
    void this.listen(listener, signal);
  }

  override close(): Promise<void> {
    return Promise.resolve();
  }

  /** One command: one request. */
  async send(path: string, command: unknown, control: CommandControl): Promise<unknown> {
    const request = httpRequest({ socketPath: this.path, method: 'POST', path, ...signalOf(control) });
    const answered = this.answer(request);
    request.end(JSON.stringify(command ?? null));
    return readResult(await answered, control);
  }

  private answer(request: ReturnType<typeof httpRequest>): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => request.once('response', resolve).once('error', (error) => reject(unavailable(error))));
  }

  /** Listens for ever; after a break it connects anew, and the agent then says to look at everything. */
  private async listen(listener: (event: HostEvent) => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const request = httpRequest({ socketPath: this.path, path: '/events', signal });
        const answered = this.answer(request);
        request.end();
        for await (const line of lines(await answered)) listener(JSON.parse(line) as HostEvent);
      } catch {
        // the agent is not there now; below we wait for it
      }
      await sleep(RECONNECT_MILLISECONDS, signal).catch(() => undefined);
    }
  }
}

type Remote = { [K in CommandName]: HostCommands[K] };

/** Gives the transport a method for each command of the table. */
function withCommands(): abstract new (path: string) => SocketTransport & Remote {
  abstract class WithCommands extends SocketTransport {}
  for (const name of Object.keys(COMMANDS) as CommandName[]) {
    Object.defineProperty(WithCommands.prototype, name, {
      value(this: SocketTransport, command: unknown, control: CommandControl = {}) {
        return this.send(`/call/${name}`, command, control);
      },
    });
  }
  return WithCommands as unknown as abstract new (
    path: string,
  ) => SocketTransport & Remote;
}

/** The host agent as another process, over its UNIX socket. */
export class SocketHostAgent extends withCommands() {}

async function readResult(response: IncomingMessage, control: CommandControl): Promise<unknown> {
  try {
    for await (const text of lines(response)) {
      const line = JSON.parse(text) as AnswerLine;
      if ('progress' in line) control.onProgress?.(line.progress);
      else if ('problem' in line) throw ApiError.fromProblem(line.problem);
      else return line.result ?? undefined;
    }
  } catch (error) {
    throw error instanceof ApiError ? error : unavailable(error);
  }
  throw unavailable(undefined);
}

async function readProblem(response: IncomingMessage): Promise<ApiError> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk as string;
  return ApiError.fromProblem(JSON.parse(text) as ProblemDocument);
}

function signalOf(control: CommandControl): Pick<RequestOptions, 'signal'> {
  return control.signal === undefined ? {} : { signal: control.signal };
}

function unavailable(cause: unknown): ApiError {
  return new ApiError('host.unavailable', {
    detail: 'The host agent does not answer on its socket.',
    remedy: 'Start it: flotilla-orchestrator --role agent; check FLOTILLA_AGENT_SOCKET on both sides.',
    cause,
  });
}

/** What comes, until the signal: who has left wants no more, and hears of no error. */
async function* bytesOf(socket: Duplex, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of socket) yield chunk as Uint8Array;
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
}

/** Resolves when the kernel has taken them. */
function sendAll(socket: Duplex, bytes: Uint8Array): Promise<void> {
  return new Promise((done, failed) => {
    socket.write(bytes, (error) => (error === undefined || error === null ? done() : failed(error)));
  });
}
