// SPDX-License-Identifier: Apache-2.0
// The process that works on the files of a pool whose storage may go away; see PoolProcess. It is asked by messages, and has nothing
// that it could not lose at any moment.
import { statfs } from 'node:fs/promises';
import { ApiError, type ProblemDocument } from '../../../common/api-error.js';
import { systemCode } from '../../../common/system-code.js';
import type { ByteProgress, CommandControl } from '../../../host-agent/host-agent.js';
import { DirPlace } from '../dir/dir-place.js';
import { DirPool } from '../dir/dir-pool.js';
import { copyDisk } from '../../files/disk-copier.js';
import type { FileTools } from '../../files/file-tools.js';
import type { AsideSetup, FromPoolServer, PoolCall, PoolCalls, PoolSetup, ToPoolServer } from './pool-messages.js';

/** What it can do: not all of it is there on files, or on a device. */
type Calls = { [C in PoolCall]?: (takes: PoolCalls[C]['takes'], control: CommandControl) => Promise<PoolCalls[C]['answers']> };

const NOTHING = null;
/** What a file system says when its server is gone, or has another file system there. */
const AWAY = ['EIO', 'ETIMEDOUT', 'ESTALE', 'ENOTCONN', 'ECONNREFUSED', 'ECONNRESET', 'EHOSTDOWN', 'EHOSTUNREACH', 'ENETUNREACH'];
/** What it says to those who may not write. */
const FORBIDDEN = ['EACCES', 'EPERM', 'EROFS'];

async function main(): Promise<void> {
  // Without the one who asks there is nothing to do. An exit in order would wait for threads that wait for the storage.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  // They are meant for the one who asks: a terminal sends them to all.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  const setup = JSON.parse(process.argv[2] ?? '') as PoolSetup | AsideSetup;
  const tools = await toolsOf(setup);
  const server = 'directory' in setup ? onFiles(setup, tools) : onDevice(tools);
  const running = new Map<number, AbortController>();
  process.on('message', (message: ToPoolServer) => {
    if ('abort' in message) return running.get(message.id)?.abort();
    const stop = new AbortController();
    running.set(message.id, stop);
    const { id } = message;
    const control = { signal: stop.signal, onProgress: (progress: ByteProgress) => send({ id, progress }) };
    void answer(server(message), message, control)
      .then(
        (found) => send({ id, answer: found }),
        (error: unknown) => send({ id, problem: stop.signal.aborted ? calledOff() : problemOf(error, setup) }),
      )
      .finally(() => running.delete(id));
  });
  send({ ready: true });
}

/** Works on the files of a pool. */
function onFiles(
  { id, directory, home, known, field, remedy }: PoolSetup,
  tools: FileTools,
): (message: { guardPercent?: number }) => Calls {
  const place = new DirPlace(directory, id, { roots: [], field, known, remedy });
  const pool = new DirPool(directory, tools, undefined, { place, guardPercent: 0, home });
  return ({ guardPercent }) => {
    pool.guardPercent = guardPercent ?? pool.guardPercent;
    return callsOf(pool, place, directory);
  };
}

/** Works on one device, or copies one disk. Whether these answer is told by its progress. */
function onDevice(tools: FileTools): () => Calls {
  return () => ({
    probe: () => Promise.resolve(NOTHING),
    fill: async (content, control) => {
      await tools.fill(content, control);
      return NOTHING;
    },
    copyDisk: async (copy, control) => {
      await copyDisk(copy, tools, control);
      return NOTHING;
    },
  });
}

async function toolsOf({ native }: AsideSetup): Promise<FileTools> {
  if (!native) return new (await import('../../files/node-file-tools.js')).NodeFileTools();
  const { loadNative } = await import('../../hypervisor/native/load.js');
  return new (await import('../../hypervisor/native/native-file-tools.js')).NativeFileTools(await loadNative());
}

function callsOf(pool: DirPool, place: DirPlace, directory: string): Calls {
  const quiet = async (work: Promise<unknown>) => {
    await work;
    return NOTHING;
  };
  return {
    probe: () => quiet(statfs(directory)),
    make: () => quiet(place.make()),
    require: () => quiet(place.require()),
    remove: () => quiet(place.remove()),
    usage: () => pool.usage(),
    ensureVolume: (volume, control) => pool.ensureVolume(volume, control),
    growVolume: (volume) => pool.growVolume(volume),
    removeVolume: (id) => quiet(pool.removeVolume(id)),
    names: () => pool.names(),
    collect: ({ images, volumes }) => pool.collect({ images: allBut(images), volumes: allBut(volumes) }),
  };
}

/** Whatever came since they were named is kept. */
function allBut(ids: readonly string[]): { has(id: string): boolean } {
  const gone = new Set(ids);
  return { has: (id) => !gone.has(id) };
}

function answer(calls: Calls, message: Exclude<ToPoolServer, { abort: true }>, control: CommandControl): Promise<unknown> {
  const call = calls[message.call] as ((takes: unknown, control: CommandControl) => Promise<unknown>) | undefined;
  if (call === undefined) throw new Error(`Nothing here can do ${message.call}.`);
  return call(message.takes, control);
}

function problemOf(error: unknown, { known, field, remedy }: AsideSetup): ProblemDocument {
  const code = systemCode(error) ?? '';
  const message = error instanceof Error ? error.message : '';
  if (!(error instanceof ApiError) && AWAY.includes(code))
    return new ApiError('pool.unavailable', { detail: `${known} cannot be used: ${message}.`, remedy }).toProblem();
  if (!(error instanceof ApiError) && FORBIDDEN.includes(code))
    return new ApiError('pool.place_invalid', {
      detail: `${known} cannot be written to: ${message}.`,
      remedy: 'Let the host write there as root: export it read-write with no_root_squash.',
      field,
    }).toProblem();
  const problem = ApiError.from(error).toProblem();
  if (problem.code === 'internal') process.stderr.write(`pool ${known}: ${error instanceof Error ? error.stack : String(error)}\n`);
  return problem;
}

/** Whoever has called it off knows why. */
function calledOff(): ProblemDocument {
  return new ApiError('operation.cancelled', { detail: 'It was called off.', remedy: 'Nothing.' }).toProblem();
}

function send(message: FromPoolServer): void {
  if (process.connected) process.send?.(message, () => undefined);
}

await main();
