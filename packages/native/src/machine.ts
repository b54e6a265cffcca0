// SPDX-License-Identifier: Apache-2.0
import { withdrawable, withSignal } from './abort.js';
import { FlotillaError, isAborted, settled } from './errors.js';
import { EventHub, type MachineEvent } from './events.js';
import type { LimitsSpec, LinkState, MachineSpec, ThrottleTarget } from './generated/spec.js';
import type { BalloonReport, MachineInfo, ReclaimReport } from './generated/report.js';
import * as native from './native.js';
import { requireBytes, requireText, toJson } from './validate.js';
import { resolveWorkerPath } from './worker-path.js';

/** `process`: a worker of its own, which outlives this process. `in-process`: inside this process, with which it ends. */
export type Isolation = 'process' | 'in-process';

export interface CreateOptions {
  /** 1 to 64 letters, digits, '-', '_' or '.', the first a letter or digit; unique below `runtimeDirectory`. */
  id: string;
  spec: MachineSpec;
  /** Where run directories are; the machine gets `machines/<id>/` in it. Best on a file system that a reboot clears. */
  runtimeDirectory: string;
  /** Default: process. */
  isolation?: Isolation;
  /** Default: see the README, "The worker program". */
  workerPath?: string;
  /**
   * Folders that the machine may share, with what is in them: a path that leads out of all of them, also by symbolic links, is
   * refused with `share.forbidden`. Default: any folder.
   */
  shareRoots?: readonly string[];
  signal?: AbortSignal;
}

/** For calls that ask a machine for something. */
export interface CallOptions {
  signal?: AbortSignal;
}

export interface AdoptOptions {
  id: string;
  runtimeDirectory: string;
  /** Deliver the events that the worker has kept (the newest 256) after this `seq` first. Default: only new ones. */
  eventsAfter?: number;
  signal?: AbortSignal;
}

/**
 * A virtual machine. Made by {@link Machine.create} or {@link Machine.adopt}; let go with {@link Machine.close}.
 *
 * Each call that asks a machine for something is bounded by the times below, and most take milliseconds. After its time a call
 * rejects with `io`, or with `worker.gone` where a worker does not answer; what was asked may still come true and is then told
 * by an event. `end` and `kill` work at any time, also while another call is under way, and need no answer of the machine.
 *
 * `boot`, `pause`, `resume` and `reset` take an `AbortSignal` as well, and reject with `aborted`. What follows differs: a boot that is
 * aborted ends the machine, because half a boot is of no use to anybody; a pause, resume or reset cannot be half done, so there
 * the caller only waits no longer, and what was asked comes true or fails by itself, told by an event.
 */
export class Machine implements AsyncDisposable {
  readonly id: string;
  readonly isolation: Isolation;
  /** The process that runs the machine. */
  readonly pid: number;
  /** The UNIX socket for `openConsole`. */
  readonly consolePath: string;
  readonly #native: native.NativeMachine;
  readonly #hub: EventHub;

  private constructor(id: string, isolation: Isolation, machine: native.NativeMachine, hub: EventHub) {
    this.id = id;
    this.isolation = isolation;
    this.pid = machine.pid;
    this.consolePath = machine.consolePath;
    this.#native = machine;
    this.#hub = hub;
  }

  /**
   * Makes a machine, not booted. Its files are opened here and passed to the worker, which opens none. After an error,
   * or when aborted, nothing is left behind.
   */
  static async create(options: CreateOptions): Promise<Machine> {
    const { isolation = 'process', signal } = options;
    if (isolation !== 'process' && isolation !== 'in-process') {
      throw new FlotillaError({ code: 'spec.invalid_value', field: '$.isolation', message: `${String(isolation)} is no isolation` });
    }
    const plain: native.CreateOptions = {
      id: requireText(options.id, '$.id'),
      spec: toJson(options.spec),
      runtimeDirectory: requireText(options.runtimeDirectory, '$.runtimeDirectory'),
      inProcess: isolation === 'in-process',
      workerPath: isolation === 'in-process' ? '' : (options.workerPath ?? resolveWorkerPath()),
    };
    const { shareRoots } = options;
    if (shareRoots !== undefined) plain.shareRoots = shareRoots.map((root, index) => requireText(root, `$.shareRoots[${index}]`));
    const hub = new EventHub(isolation === 'process' ? 'worker-exited' : 'stopped');
    const take = (event: MachineEvent): void => hub.push(event);
    const machine = await withSignal<native.NativeMachine>(signal, (cancel) => native.createMachine(plain, cancel, take));
    return new Machine(plain.id, isolation, machine, hub);
  }

  /**
   * Takes control over a worker that runs already, as after the death of the process that made it. Rejects with
   * `worker.gone` when there is none, and `worker.busy` when somebody else controls it.
   */
  static async adopt(options: AdoptOptions): Promise<Machine> {
    const plain: native.AdoptOptions = {
      id: requireText(options.id, '$.id'),
      runtimeDirectory: requireText(options.runtimeDirectory, '$.runtimeDirectory'),
    };
    if (options.eventsAfter !== undefined) plain.eventsAfter = requireBytes(options.eventsAfter, '$.eventsAfter');
    const hub = new EventHub('worker-exited');
    const take = (event: MachineEvent): void => hub.push(event);
    const machine = await withSignal<native.NativeMachine>(options.signal, (cancel) => native.adoptMachine(plain, cancel, take));
    return new Machine(plain.id, 'process', machine, hub);
  }

  /**
   * Starts the guest, whose kernel is read now. At most 30 seconds; in-process, where the disk may be slow, 2 minutes. When the
   * signal aborts before that is done, or has aborted before the call, the machine is ended as by `end`, and the call rejects with
   * `aborted` once it has ended.
   */
  async boot(options: CallOptions = {}): Promise<void> {
    try {
      await withdrawable(options.signal, () => this.#native.boot());
    } catch (error) {
      if (isAborted(error)) await this.end();
      throw error;
    }
  }

  /**
   * Stops the virtual CPUs; resolves once all have stopped. At most 5 seconds for the virtual CPUs, after which the machine
   * runs on, and 20 seconds in all. After an abort of the signal see the event `state`.
   */
  async pause(options: CallOptions = {}): Promise<void> {
    return withdrawable(options.signal, () => this.#native.pause());
  }

  /** Goes on after a pause. At most 20 seconds. After an abort of the signal see the event `state`. */
  async resume(options: CallOptions = {}): Promise<void> {
    return withdrawable(options.signal, () => this.#native.resume());
  }

  /** Presses the ACPI power button. What follows is up to the guest. At most 5 seconds. */
  async powerButton(): Promise<void> {
    return settled(() => this.#native.powerButton());
  }

  /** Plugs the cable of the interface with this id in, or pulls it out; its guest hears of it. At most 5 seconds. */
  async setLink(id: string, link: LinkState): Promise<void> {
    return settled(() => this.#native.setLink(requireText(id, '$.id'), link === 'up'));
  }

  /**
   * Asks the guest to tell the network of the interface with this id where it is, by a gratuitous ARP for instance. At most 5 seconds.
   * Rejects with `interface.no_announcement` when its driver does not know how, or the cable is out.
   */
  async announce(id: string): Promise<void> {
    return settled(() => this.#native.announce(requireText(id, '$.id')));
  }

  /**
   * Changes what a device, or a group of them, may do: all limits at once, those that are absent end. It holds from the next request
   * on. At most 5 seconds.
   */
  async setThrottle(target: ThrottleTarget, limits: LimitsSpec): Promise<void> {
    return settled(() => this.#native.setThrottle({ target, limits }));
  }

  /**
   * Sets the bytes that the guest shall give up: a multiple of 4096, and all but 16 MiB of the memory at most. What follows is up to
   * the guest; `balloon` tells how far it is. At most 5 seconds. Rejects with `machine.no_balloon`, or `spec.balloon_invalid`.
   */
  async setBalloon(target: number): Promise<void> {
    return settled(() => this.#native.setBalloon(requireBytes(target, '$.balloon.target')));
  }

  /** The balloon. A guest that runs is asked how it is off for memory, and waited for a second at most. At most 5 seconds. */
  async balloon(): Promise<BalloonReport> {
    return settled(() => this.#native.balloon());
  }

  /**
   * Asks a guest that runs for all that nothing in it uses now and gives it back to the host. The guest may have that memory again
   * afterwards, and finds it empty. At most 5 seconds; one that is not done after 4 has the rest back. Rejects with
   * `machine.no_balloon`, or `machine.no_hinting`.
   */
  async reclaimMemory(): Promise<ReclaimReport> {
    return settled(() => this.#native.reclaimMemory());
  }

  /**
   * Restarts the guest as after power-on, and reads its kernel again. At most as long as `boot`. After an abort of the signal see the
   * event `guest-reset`.
   */
  async reset(options: CallOptions = {}): Promise<void> {
    return withdrawable(options.signal, () => this.#native.reset());
  }

  /**
   * Ends the machine and its worker now. The run directory stays, for `readConsole` and `readExit`, until `kill` or
   * `removeStale`. Idempotent, also after `close`.
   */
  async end(): Promise<void> {
    return settled(() => this.#native.end());
  }

  /** Ends the machine and its worker now, and removes the run directory. Idempotent, also after `close`. */
  async kill(): Promise<void> {
    return settled(() => this.#native.kill());
  }

  async info(): Promise<MachineInfo> {
    return settled(() => this.#native.info());
  }

  /** Counters by name. */
  async metrics(): Promise<Record<string, number>> {
    return settled(() => this.#native.metrics());
  }

  /**
   * Looks how large the disk with this id is now, after its file or device was made larger, and tells the guest. Resolves to its
   * size in bytes. Rejects with `disk.unknown`, or with `disk.shrunk` when it has become smaller.
   */
  async refreshDisk(id: string): Promise<number> {
    return settled(() => this.#native.refreshDisk(requireText(id, '$.id')));
  }

  /**
   * Makes the qcow2 disk with this id larger and tells the guest; one that is as large or larger stays as it is. Resolves to its size
   * in bytes. Rejects with `disk.unknown`, with `disk.format` for a disk whose file has its size (see `refreshDisk`), with
   * `disk.locked` when the machine may only read it.
   */
  async growDisk(id: string, sizeBytes: number): Promise<number> {
    return settled(() => this.#native.growDisk(requireText(id, '$.id'), requireBytes(sizeBytes, '$.sizeBytes')));
  }

  /**
   * The events since this object was made (of these the newest 256), then those that come. Ends after `worker-exited`
   * (in-process: `stopped`), after `close`, and quietly when the signal aborts. A reader that does not keep up gets
   * one event `lost` in place of those it missed.
   */
  events(options: { signal?: AbortSignal } = {}): AsyncIterableIterator<MachineEvent> {
    return this.#hub.read(options.signal);
  }

  /** Lets go: a worker goes on, a machine in this process ends. Idempotent. Ends the events. */
  async close(): Promise<void> {
    try {
      await settled(() => this.#native.close());
    } finally {
      this.#hub.end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
