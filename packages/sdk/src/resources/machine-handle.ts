// SPDX-License-Identifier: Apache-2.0
import { Console, type ConsoleOptions } from '../core/console.js';
import { FlotillaError } from '../core/errors.js';
import { EventStream } from '../core/event-stream.js';
import type { RequestOptions } from '../core/options.js';
import type { OperationOptions, Pending } from '../core/pending.js';
import { poll } from '../core/poll.js';
import { query } from '../internal/query.js';
import type { Transport } from '../internal/transport.js';
import type {
  AddressLease,
  Balloon,
  Disk,
  Event,
  Machine,
  MachineMetrics,
  MachineStats,
  ReclaimedMemory,
  StopMachine,
  UpdateInterface,
  UpdateMachine,
  UpdateThrottle,
} from '../schema.gen.js';
import type { Machines } from './machines.js';

/** A state a machine can be seen in. */
export type MachineState = Machine['observed']['state'];

/** A machine as it was when it was read, and what can be done with it. */
export class MachineHandle {
  /** What the API said when this handle was made; `refresh()` gives a newer one. */
  readonly data: Machine;
  readonly #machines: Machines;
  readonly #transport: Transport;

  constructor(machines: Machines, transport: Transport, data: Machine) {
    this.data = data;
    this.#machines = machines;
    this.#transport = transport;
  }

  get id(): string {
    return this.data.id;
  }

  get name(): string {
    return this.data.name;
  }

  /** The state it was seen in. */
  get state(): MachineState {
    return this.data.observed.state;
  }

  /** The IPv4 address reserved for its first interface that has one: DHCP gives it this one and no other machine. `lease` tells whether its guest has taken it. */
  get address(): string | undefined {
    return this.data.observed.addresses.find(({ address }) => address !== undefined)?.address;
  }

  /** The first address that the guest has really taken by DHCP; undefined until it has asked. The event `network.lease` tells when. */
  get lease(): AddressLease | undefined {
    return this.data.observed.addresses.find(({ lease }) => lease !== undefined)?.lease;
  }

  /** For `ifMatch`: acts only if nobody changed the machine since this handle was made. */
  get etag(): string {
    return `W/"${this.data.generation}"`;
  }

  refresh(options: RequestOptions = {}): Promise<MachineHandle> {
    return this.#machines.get(this.id, options);
  }

  update(params: UpdateMachine, options: RequestOptions = {}): Promise<MachineHandle> {
    return this.#machines.update(this.id, params, options);
  }

  /** Plugs the cable of the interface with this name in (`up`), or pulls it out (`down`). */
  setLink(name: string, link: UpdateInterface['link'], options: RequestOptions = {}): Promise<MachineHandle> {
    return this.#machines.setLink(this.id, name, link, options);
  }

  /** Gives it one more disk while it is stopped: a volume that there is, or a new one. */
  attachDisk(params: Disk, options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#machines.attachDisk(this.id, params, options);
  }

  /** Takes a disk from it while it is stopped. Its volume stays, unless `deleteVolume` is set. */
  detachDisk(name: string, params: { readonly deleteVolume?: boolean } = {}, options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#machines.detachDisk(this.id, name, params, options);
  }

  /** Asks the guest to tell the network of the interface with this name where it is, by a gratuitous ARP for instance. */
  async announce(name: string, options: RequestOptions = {}): Promise<void> {
    const path = `/v1/machines/${encodeURIComponent(this.id)}/interfaces/${encodeURIComponent(name)}/announce`;
    await this.#transport.send({ method: 'POST', path, json: {} }, options);
  }

  /** Changes what a device may do, or a group of them: all limits at once, those that are absent end. */
  setThrottle(change: UpdateThrottle, options: RequestOptions = {}): Promise<MachineHandle> {
    return this.#machines.setThrottle(this.id, change, options);
  }

  /** Asks the guest to give up so many MiB of its memory. `balloon()` tells how far it is. */
  setBalloon(targetMiB: number, options: RequestOptions = {}): Promise<MachineHandle> {
    return this.#machines.setBalloon(this.id, targetMiB, options);
  }

  /** What the guest has given up of its memory, and how it says it is off. */
  balloon(options: RequestOptions = {}): Promise<Balloon> {
    const path = `/v1/machines/${encodeURIComponent(this.id)}/balloon`;
    return this.#transport.json<Balloon>({ method: 'GET', path }, options);
  }

  /** Takes back what nothing in the guest uses now; it is waited for 4 seconds at most. */
  reclaimMemory(options: RequestOptions = {}): Promise<ReclaimedMemory> {
    const path = `/v1/machines/${encodeURIComponent(this.id)}/balloon/reclaim`;
    return this.#transport.json<ReclaimedMemory>({ method: 'POST', path, json: {} }, options);
  }

  start(options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#machines.start(this.id, options);
  }

  stop(params: StopMachine = {}, options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#machines.stop(this.id, params, options);
  }

  restart(params: StopMachine = {}, options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#machines.restart(this.id, params, options);
  }

  kill(options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#machines.kill(this.id, options);
  }

  pause(options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#machines.pause(this.id, options);
  }

  resume(options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#machines.resume(this.id, options);
  }

  delete(params: { readonly force?: boolean } = {}, options: OperationOptions = {}): Pending<void> {
    return this.#machines.delete(this.id, params, options);
  }

  /** Attaches to the serial console, or with `port` to one of the console device. */
  console(options: ConsoleOptions = {}): Promise<Console> {
    const path = `/v1/machines/${encodeURIComponent(this.id)}/console${query({ port: options.port, offset: options.offset ?? 0, write: options.write ?? true })}`;
    return Console.open(this.#transport, path, options);
  }

  /** What the console showed lately, also of a stopped machine. */
  async logs(filter: { readonly tailBytes?: number; readonly offset?: number } = {}, options: RequestOptions = {}): Promise<string> {
    const path = `/v1/machines/${encodeURIComponent(this.id)}/logs${query(filter)}`;
    const response = await this.#transport.send({ method: 'GET', path, headers: { accept: 'text/plain' } }, options);
    return response.text();
  }

  /** What it has done since its worker began: sums, and the metrics of each device and CPU. Two of them tell what it does in a second. */
  stats(options: RequestOptions = {}): Promise<MachineStats> {
    const path = `/v1/machines/${encodeURIComponent(this.id)}/stats`;
    return this.#transport.json<MachineStats>({ method: 'GET', path }, options);
  }

  /**
   * The same at once and then every `intervalMs` (default 1000), for as long as the loop goes on. It fails with
   * `machine.state_conflict` when the machine has ended, and with `AbortedError` when the signal fires.
   */
  watchStats(params: { readonly intervalMs?: number } = {}, options: RequestOptions = {}): AsyncIterable<MachineStats> {
    return poll(() => this.stats(options), params.intervalMs ?? 1000, options.signal);
  }

  /** Counters of its devices and CPUs since its worker started. */
  async metrics(options: RequestOptions = {}): Promise<MachineMetrics['counters']> {
    const path = `/v1/machines/${encodeURIComponent(this.id)}/metrics`;
    return (await this.#transport.json<MachineMetrics>({ method: 'GET', path }, options)).counters;
  }

  /**
   * Waits until the machine is seen in `state`; nothing is polled, the server tells. Rejects with `machine.failed` when
   * it fails instead and no restart policy starts it again, and with `machine.wait_timeout` after `timeoutMs` (default 60,000).
   */
  async waitFor(state: MachineState, options: RequestOptions = {}): Promise<MachineHandle> {
    const timeoutMs = options.timeoutMs ?? 60_000;
    const limit = AbortSignal.timeout(timeoutMs);
    const signal = options.signal === undefined ? limit : AbortSignal.any([limit, options.signal]);
    try {
      for await (const seen of this.#changes(signal)) {
        if (seen.state === state) return seen;
        if (seen.state === 'failed' && seen.data.observed.nextRestartAt === undefined) throw failed(seen.data);
      }
    } catch (error) {
      if (limit.aborted) throw waitTimeout(this.name, state, timeoutMs);
      throw error;
    }
    throw waitTimeout(this.name, state, timeoutMs);
  }

  /** The machine now, and again after each event about it. The stream is open before the first look, so nothing falls between. */
  async *#changes(signal: AbortSignal): AsyncGenerator<MachineHandle> {
    const events = await new EventStream<Event>(this.#transport, { target: this.id }, { signal }).opened();
    yield await this.refresh({ signal });
    for await (const _event of events) yield await this.refresh({ signal });
  }
}

function failed(machine: Machine): FlotillaError {
  const reason = machine.observed.reason;
  return new FlotillaError(`Machine ${machine.name} failed: ${reason?.detail ?? 'no reason was given'}`, {
    code: reason?.code ?? 'machine.failed',
    remedy: reason?.remedy ?? 'Read its console with machine.logs()',
  });
}

function waitTimeout(name: string, state: string, timeoutMs: number): FlotillaError {
  return new FlotillaError(`Machine ${name} was not ${state} within ${timeoutMs} ms`, {
    code: 'machine.wait_timeout',
    remedy: 'Read its console with machine.logs(), or allow more time with timeoutMs',
  });
}
