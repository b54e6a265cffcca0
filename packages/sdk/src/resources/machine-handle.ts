// SPDX-License-Identifier: Apache-2.0
import { Console, type ConsoleOptions } from '../core/console.js';
import { FlotillaError } from '../core/errors.js';
import { EventStream } from '../core/event-stream.js';
import type { RequestOptions } from '../core/options.js';
import type { OperationOptions, Pending } from '../core/pending.js';
import { query } from '../internal/query.js';
import type { Transport } from '../internal/transport.js';
import type { AddressLease, Event, Machine, MachineMetrics, StopMachine, UpdateInterface, UpdateMachine } from '../schema.gen.js';
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

  /** Attaches to the serial console. */
  console(options: ConsoleOptions = {}): Promise<Console> {
    const path = `/v1/machines/${encodeURIComponent(this.id)}/console${query({ offset: options.offset ?? 0, write: options.write ?? true })}`;
    return Console.open(this.#transport, path, options.signal);
  }

  /** What the console showed lately, also of a stopped machine. */
  async logs(filter: { readonly tailBytes?: number; readonly offset?: number } = {}, options: RequestOptions = {}): Promise<string> {
    const path = `/v1/machines/${encodeURIComponent(this.id)}/logs${query(filter)}`;
    const response = await this.#transport.send({ method: 'GET', path, headers: { accept: 'text/plain' } }, options);
    return response.text();
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
