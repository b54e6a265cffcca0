// SPDX-License-Identifier: Apache-2.0
import {
  type ConsoleConnection,
  type CreateOptions,
  type Isolation,
  Machine,
  type MachineEvent,
  type MachineSpec,
  openConsole,
} from '../../src/index.js';
import { guest, requireKvm, scratch } from './host.js';

type Kind = MachineEvent['kind'];
type EventOf<K extends Kind> = Extract<MachineEvent, { kind: K }>;

/** Makes machines in one run directory, until `clear` takes all of it away; what is made then is in a new one. */
export class Bench {
  #scratch: ReturnType<typeof scratch> | undefined;
  readonly #machines: Machine[] = [];
  #count = 0;

  constructor(readonly isolation: Isolation) {}

  get runtimeDirectory(): string {
    this.#scratch ??= scratch();
    return this.#scratch.path;
  }

  /** What `create` takes for a machine that boots the named guest. */
  options(guestName: string, spec: Partial<MachineSpec> = {}): CreateOptions {
    this.#count += 1;
    return {
      id: `m${this.#count}`,
      runtimeDirectory: this.runtimeDirectory,
      isolation: this.isolation,
      spec: { cpus: 1, memory: 16 << 20, boot: { kernel: { path: guest(guestName) } }, ...spec },
    };
  }

  async create(guestName: string, spec: Partial<MachineSpec> = {}): Promise<Machine> {
    return this.keep(await Machine.create(this.options(guestName, spec)));
  }

  async boot(guestName: string, spec: Partial<MachineSpec> = {}): Promise<Machine> {
    const machine = await this.create(guestName, spec);
    await machine.boot();
    return machine;
  }

  keep(machine: Machine): Machine {
    this.#machines.push(machine);
    return machine;
  }

  async clear(): Promise<void> {
    for (const machine of this.#machines.splice(0)) {
      await machine.kill();
      await machine.close();
    }
    this.#scratch?.remove();
    this.#scratch = undefined;
  }
}

/** For the body of a `describe` that needs KVM: a bench that is cleared after each test. */
export function benchForEach(isolation: Isolation): Bench {
  const bench = new Bench(isolation);
  before(function () {
    requireKvm(this);
  });
  afterEach(() => bench.clear());
  return bench;
}

/** The first event of that kind, from the beginning on. */
export async function eventOf<K extends Kind>(machine: Machine, kind: K): Promise<EventOf<K>> {
  for await (const event of machine.events({ signal: AbortSignal.timeout(30_000) })) {
    if (event.kind === kind) return event as EventOf<K>;
  }
  throw new Error(`The events ended without ${kind}`);
}

/** Reads until the output holds `text`, and gives what was read. */
export async function readUntil(console: ConsoleConnection, text: string): Promise<string> {
  const timer = setTimeout(() => console.close(), 30_000);
  let read = '';
  try {
    // Not `for await`: leaving it would close the connection.
    const data = console.data[Symbol.asyncIterator]();
    for (let next = await data.next(); !next.done; next = await data.next()) {
      read += Buffer.from(next.value).toString('latin1');
      if (read.includes(text)) return read;
    }
  } finally {
    clearTimeout(timer);
  }
  throw new Error(`The console ended without ${JSON.stringify(text)}: ${JSON.stringify(read)}`);
}

/** Everything the machine has written, from the oldest byte to `text`. */
export async function outputUntil(machine: Machine, text: string): Promise<string> {
  const console = await openConsole({ path: machine.consolePath, offset: 0 });
  try {
    return await readUntil(console, text);
  } finally {
    console.close();
  }
}

/** Boots a machine and gives everything it writes, up to `text`. For a guest that ends by itself: with it goes its console. */
export async function bootAndRead(machine: Machine, text: string): Promise<string> {
  const console = await openConsole({ path: machine.consolePath, offset: 0 });
  try {
    await machine.boot();
    return await readUntil(console, text);
  } finally {
    console.close();
  }
}
