// SPDX-License-Identifier: Apache-2.0
import { List, type PageBody } from '../core/pagination.js';
import type { RequestOptions } from '../core/options.js';
import { type OperationOptions, Pending } from '../core/pending.js';
import { type QueryValue, query } from '../internal/query.js';
import type { Call, Transport } from '../internal/transport.js';
import type {
  CreateMachine,
  Disk,
  Machine,
  Operation,
  StopMachine,
  UpdateInterface,
  UpdateMachine,
  UpdateThrottle,
} from '../schema.gen.js';
import { MachineHandle } from './machine-handle.js';

/** Which machines to list. */
export interface MachineFilter {
  /** Only machines with all of these labels. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Only the machine of this name. */
  readonly name?: string;
  /** Machines on each page, 1 to 200. Default 50. */
  readonly limit?: number;
}

/** Virtual machines. A machine is named by its id or its name. */
export class Machines {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Creates a machine; resolves when it runs (or is stopped, with `start: false`). */
  create(params: CreateMachine, options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#change({ method: 'POST', path: '/v1/machines', json: params }, options, (operation) =>
      this.get(operation.target.id, options),
    );
  }

  async get(machine: string, options: RequestOptions = {}): Promise<MachineHandle> {
    return new MachineHandle(this, this.#transport, await this.#transport.json<Machine>({ method: 'GET', path: pathOf(machine) }, options));
  }

  list(filter: MachineFilter = {}, options: RequestOptions = {}): List<MachineHandle> {
    return new List(async (cursor) => {
      const path = `/v1/machines${query({ ...filter, cursor } as Record<string, QueryValue>)}`;
      const page = await this.#transport.json<PageBody<Machine>>({ method: 'GET', path }, options);
      return { ...page, items: page.items.map((machine) => new MachineHandle(this, this.#transport, machine)) };
    });
  }

  /** Changes what is given of name, size, notes, labels, protection and restart policy. Name and size: while it is stopped. */
  async update(machine: string, params: UpdateMachine, options: RequestOptions = {}): Promise<MachineHandle> {
    const call: Call = { method: 'PATCH', path: pathOf(machine), json: params };
    return new MachineHandle(this, this.#transport, await this.#transport.json<Machine>(call, options));
  }

  /** Plugs the cable of an interface in (`up`) or pulls it out (`down`): at once where a guest runs, and for every start that follows. */
  async setLink(machine: string, name: string, link: UpdateInterface['link'], options: RequestOptions = {}): Promise<MachineHandle> {
    const call: Call = { method: 'PATCH', path: `${pathOf(machine)}/interfaces/${encodeURIComponent(name)}`, json: { link } };
    return new MachineHandle(this, this.#transport, await this.#transport.json<Machine>(call, options));
  }

  /**
   * Changes what a device may do, or a group of them: all limits at once, those that are absent end. At once where a guest runs, and for
   * every start that follows.
   */
  async setThrottle(machine: string, change: UpdateThrottle, options: RequestOptions = {}): Promise<MachineHandle> {
    const call: Call = { method: 'PATCH', path: `${pathOf(machine)}/throttle`, json: change };
    return new MachineHandle(this, this.#transport, await this.#transport.json<Machine>(call, options));
  }
  /** Asks the guest to give up so many MiB of its memory: at once where one runs, and at every start that follows. */
  async setBalloon(machine: string, targetMiB: number, options: RequestOptions = {}): Promise<MachineHandle> {
    const call: Call = { method: 'PATCH', path: `${pathOf(machine)}/balloon`, json: { targetMiB } };
    return new MachineHandle(this, this.#transport, await this.#transport.json<Machine>(call, options));
  }

  start(machine: string, options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#act(machine, 'start', {}, options);
  }

  /** Presses the power button and waits for the guest; kills it when the time is over, unless told otherwise. */
  stop(machine: string, params: StopMachine = {}, options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#act(machine, 'stop', params, options);
  }

  restart(machine: string, params: StopMachine = {}, options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#act(machine, 'restart', params, options);
  }

  /** Ends the machine at once, as if its power cord were pulled. */
  kill(machine: string, options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#act(machine, 'kill', {}, options);
  }

  pause(machine: string, options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#act(machine, 'pause', {}, options);
  }

  resume(machine: string, options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#act(machine, 'resume', {}, options);
  }

  /** Deletes the machine and the volumes made for it. A running one is refused, unless `force` is set. */
  delete(machine: string, params: { readonly force?: boolean } = {}, options: OperationOptions = {}): Pending<void> {
    const path = `${pathOf(machine)}${query({ force: params.force })}`;
    return this.#change({ method: 'DELETE', path }, options, async () => undefined);
  }

  /** Gives a stopped machine one more disk: a volume that there is, or a new one; resolves when it has it. */
  attachDisk(machine: string, params: Disk, options: OperationOptions = {}): Pending<MachineHandle> {
    return this.#change({ method: 'POST', path: `${pathOf(machine)}/disks`, json: params }, options, (operation) =>
      this.get(operation.target.id, options),
    );
  }

  /** Takes a disk from a stopped machine. Its volume stays, unless `deleteVolume` is set. */
  detachDisk(
    machine: string,
    disk: string,
    { deleteVolume }: { readonly deleteVolume?: boolean } = {},
    options: OperationOptions = {},
  ): Pending<MachineHandle> {
    const path = `${pathOf(machine)}/disks/${encodeURIComponent(disk)}${query({ deleteVolume })}`;
    return this.#change({ method: 'DELETE', path }, options, (operation) => this.get(operation.target.id, options));
  }

  #act(machine: string, action: string, params: object, options: OperationOptions): Pending<MachineHandle> {
    return this.#change({ method: 'POST', path: `${pathOf(machine)}/${action}`, json: params }, options, (operation) =>
      this.get(operation.target.id, options),
    );
  }

  #change<T>(call: Call, options: OperationOptions, finish: (operation: Operation) => Promise<T>): Pending<T> {
    return new Pending(this.#transport, this.#transport.json<Operation>(call, options), finish, options);
  }
}

function pathOf(machine: string): string {
  return `/v1/machines/${encodeURIComponent(machine)}`;
}
