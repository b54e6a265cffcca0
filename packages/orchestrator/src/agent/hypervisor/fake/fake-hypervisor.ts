// SPDX-License-Identifier: Apache-2.0
import { holderOfLimits, type Limits } from '../../../common/throttle.js';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ApiError } from '../../../common/api-error.js';
import type { BalloonFacts, ReclaimFacts } from '../../../common/balloon.js';
import type { LinkState } from '../../../common/interface-traffic.js';
import { sleep } from '../../../common/async.js';
import {
  CONSOLE_WRITER_TAKEN,
  type ConsoleLog,
  type HostConsole,
  type HostReport,
  type MachineObservation,
} from '../../../host-agent/host-agent.js';
import { type ConsoleAccess, Hypervisor, type HypervisorSpec, portNotFound, type ThrottleTarget } from '../hypervisor.js';
import { enlargeQcow2 } from '../../files/qcow2-file.js';
import { FakeGuest } from './fake-guest.js';

interface StoredGuest {
  spec: HypervisorSpec;
  pid: number;
  state: Exclude<MachineObservation['state'], 'stopped'>;
}

/** Machines that only pretend. They are kept as files, so they outlive the process as real workers do. */
export class FakeHypervisor extends Hypervisor {
  private readonly guests = new Map<string, FakeGuest>();
  private nextPid = 4_194_400; // above pid_max, so that nobody can hit a real process

  constructor(private readonly directory: string) {
    super();
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  override async adopt(): Promise<void> {
    for (const name of await readdir(this.directory)) {
      const stored = name.endsWith('.json') ? await this.load(name) : undefined;
      if (stored === undefined) {
        await rm(join(this.directory, name), { force: true });
        continue;
      }
      const guest = this.makeGuest(stored.spec, stored.pid);
      this.nextPid = Math.max(this.nextPid, stored.pid + 1);
      if (stored.state !== 'configured') guest.start();
      guest.state = stored.state;
    }
  }

  override report(): Promise<HostReport> {
    return Promise.resolve({
      checks: [
        {
          id: 'fake',
          title: 'Fake hypervisor',
          status: 'degraded',
          detail: 'Machines only pretend to run.',
          meaning: 'Good for tests of the control plane, for nothing else.',
          remedy: 'Start without FLOTILLA_HYPERVISOR=fake.',
        },
      ],
      kvm: { kind: 'none', detail: 'The fake hypervisor does not look for KVM.' },
    });
  }

  override async create(spec: HypervisorSpec): Promise<{ pid?: number }> {
    const known = this.guests.get(spec.id);
    if (known !== undefined && known.state !== 'stopped') return { pid: known.pid };
    const guest = this.makeGuest(spec, this.nextPid);
    this.nextPid += 1;
    if (guest.script.fail === 'create') {
      this.guests.delete(spec.id);
      throw new ApiError('worker.failed', {
        detail: 'The fake worker failed to start, as its script says.',
        remedy: 'Remove fake.fail from the command line.',
      });
    }
    for (const path of [spec.kernelPath, ...spec.disks.flatMap((disk) => [disk.path, ...disk.backing.map((file) => file.path)])]) {
      if (!existsSync(path))
        throw new ApiError('file.missing', { detail: `The file ${path} is missing.`, remedy: 'Import the image again.' });
    }
    await this.save(guest);
    return { pid: guest.pid };
  }

  override async boot(id: string): Promise<void> {
    const guest = this.live(id);
    if (guest.state !== 'configured') return;
    await sleep(guest.script.bootMs);
    if (guest.script.fail === 'boot')
      throw new ApiError('kernel.unrecognised', {
        detail: 'The kernel cannot be booted, as the script says.',
        remedy: 'Remove fake.fail from the command line.',
        field: 'boot.kernel',
      });
    guest.start();
    await this.save(guest);
  }

  override powerButton(id: string): Promise<void> {
    const guest = this.live(id);
    if (!guest.script.deaf && guest.state === 'running')
      setTimeout(() => guest.end({ reason: 'powered-off', detail: 'The guest powered itself off.' }), 5);
    return Promise.resolve();
  }

  override async pause(id: string): Promise<void> {
    const guest = this.live(id);
    guest.state = 'paused';
    await this.save(guest);
  }

  override async resume(id: string): Promise<void> {
    const guest = this.live(id);
    guest.state = 'running';
    await this.save(guest);
  }

  override async setLink(id: string, name: string, link: LinkState): Promise<void> {
    const guest = this.live(id);
    interfaceOf(guest, name).link = link;
    await this.save(guest);
  }

  override async announce(id: string, name: string): Promise<void> {
    const { link } = interfaceOf(this.live(id), name);
    if (link === 'down') throw new ApiError('interface.no_announcement', { detail: `The cable of ${name} is out.`, remedy: 'Plug it in.' });
  }

  override async setThrottle(id: string, target: ThrottleTarget, limits: Limits): Promise<void> {
    const guest = this.live(id);
    const holder = holderOfLimits(guest.spec, target.kind, target.name);
    if (holder === undefined)
      throw new ApiError('throttle.unknown', { detail: `Machine ${id} has no such limits.`, remedy: 'Name what has limits of its own.' });
    holder.set(limits);
    await this.save(guest);
  }

  override async setBalloon(id: string, targetMiB: number): Promise<void> {
    const guest = this.live(id);
    if (guest.spec.balloon === undefined) throw noBalloon(id);
    guest.spec.balloon.targetMiB = targetMiB;
    await this.save(guest);
  }

  override async balloon(id: string): Promise<BalloonFacts> {
    const { spec } = this.live(id);
    if (spec.balloon === undefined) throw noBalloon(id);
    const targetBytes = spec.balloon.targetMiB * 1024 * 1024;
    return { targetBytes, actualBytes: targetBytes, statistics: { ageMilliseconds: 0, totalBytes: spec.memoryMiB * 1024 * 1024 } };
  }

  override async reclaimMemory(id: string): Promise<ReclaimFacts> {
    const { spec, state } = this.live(id);
    if (spec.balloon === undefined) throw noBalloon(id);
    if (spec.balloon.freePageHinting !== true)
      throw new ApiError('machine.no_hinting', { detail: `Machine ${id} cannot be asked.`, remedy: 'Create it with `freePageHinting`.' });
    // A guest that is paused does not answer.
    return { releasedBytes: state === 'running' ? 1024 * 1024 : 0, complete: state === 'running' };
  }

  override kill(id: string): Promise<void> {
    this.guests.get(id)?.end({ reason: 'killed', detail: 'The machine was killed.' });
    return Promise.resolve();
  }

  override readConsole(id: string): Promise<ConsoleLog | undefined> {
    return Promise.resolve(this.guests.get(id)?.ring.snapshot());
  }

  override async release(id: string): Promise<void> {
    const guest = this.guests.get(id);
    if (guest !== undefined && guest.state !== 'stopped') return;
    this.guests.delete(id);
    await rm(this.path(id), { force: true });
  }

  override list(): Promise<MachineObservation[]> {
    return Promise.resolve([...this.guests.values()].map(observe));
  }

  override async refreshDisk(id: string, disk: string): Promise<void> {
    const { guest, path } = this.liveDisk(id, disk);
    guest.noteDisk(disk, (await stat(path)).size);
  }

  override async growDisk(id: string, disk: string, sizeBytes: number): Promise<number> {
    const { guest, path } = this.liveDisk(id, disk);
    const grown = await enlargeQcow2(path, sizeBytes);
    guest.noteDisk(disk, grown);
    return grown;
  }

  override metrics(id: string): Promise<Record<string, number>> {
    return Promise.resolve(this.live(id).metrics());
  }

  override async openConsole(id: string, options: ConsoleAccess): Promise<HostConsole> {
    const guest = this.guests.get(id) ?? this.live(id); // what a stopped guest has shown can be read until it is released
    const port = options.port === undefined ? undefined : guest.ports.get(options.port);
    if (options.port !== undefined && port === undefined) throw portNotFound(options.port);
    const end = port ?? guest;
    if (options.write && end.writerTaken) {
      throw new ApiError(CONSOLE_WRITER_TAKEN, {
        detail: 'Another client writes to this console.',
        remedy: 'Attach for reading only, or end the other client.',
        field: 'write',
      });
    }
    if (options.write) end.writerTaken = true;
    const closed = new AbortController();
    const close = () => {
      if (!closed.signal.aborted && options.write) end.writerTaken = false;
      closed.abort();
      return Promise.resolve();
    };
    options.signal?.addEventListener('abort', () => void close(), { once: true });
    const offset = end.ring.clamp(options.offset);
    return {
      offset,
      writer: options.write,
      ringBytes: end.ring.capacity,
      data: end.ring.read(offset, closed.signal),
      close,
      write: (bytes) => Promise.resolve(end.type(bytes)),
      resize: (size) => Promise.resolve(port?.resize(size)),
    };
  }

  override close(): Promise<void> {
    this.listeners.clear();
    return Promise.resolve();
  }

  private makeGuest(spec: HypervisorSpec, pid: number): FakeGuest {
    const onEnd = (ended: FakeGuest) => {
      rmSync(this.path(ended.spec.id), { force: true }); // before anybody is told: who ended must not run again in the next process
      this.tell({ kind: 'machine', machine: observe(ended) });
    };
    const guest = new FakeGuest(spec, pid, onEnd, (hung) => this.bite(hung));
    this.guests.set(spec.id, guest);
    return guest;
  }

  /** A guest did not reset its watchdog in time. A fake one that starts again does so without a sign. */
  private bite(guest: FakeGuest): void {
    const { id, watchdog } = guest.spec;
    if (watchdog === undefined || guest.state !== 'running') return;
    this.tell({ kind: 'alarm', id, alarm: { kind: 'watchdog', action: watchdog.action } });
    if (watchdog.action === 'poweroff') guest.end({ reason: 'watchdog', detail: 'The fake guest did not reset its watchdog in time.' });
    if (watchdog.action !== 'pause') return;
    guest.state = 'paused';
    this.tell({ kind: 'machine', machine: observe(guest) });
  }

  private live(id: string): FakeGuest {
    const guest = this.guests.get(id);
    if (guest === undefined || guest.state === 'stopped') {
      throw new ApiError('worker.gone', { detail: `Machine ${id} has no worker.`, remedy: 'Start the machine.' });
    }
    return guest;
  }

  private liveDisk(id: string, disk: string): { guest: FakeGuest; path: string } {
    const guest = this.live(id);
    const found = guest.spec.disks.find(({ name }) => name === disk);
    if (found !== undefined) return { guest, path: found.path };
    throw new ApiError('worker.failed', { detail: `There is no disk ${disk}.`, remedy: 'Name one that there is.' });
  }

  private async save(guest: FakeGuest): Promise<void> {
    if (guest.state === 'stopped') return;
    const temporary = `${this.path(guest.spec.id)}.tmp`;
    await writeFile(temporary, JSON.stringify({ spec: guest.spec, pid: guest.pid, state: guest.state } satisfies StoredGuest));
    await rename(temporary, this.path(guest.spec.id));
  }

  private async load(name: string): Promise<StoredGuest | undefined> {
    const handle = await open(join(this.directory, name)).catch(() => undefined);
    if (handle === undefined) return undefined;
    await handle.close();
    return JSON.parse(await readFile(join(this.directory, name), 'utf8')) as StoredGuest;
  }

  private path(id: string): string {
    return join(this.directory, `${id}.json`);
  }
}

function observe(guest: FakeGuest): MachineObservation {
  return {
    id: guest.spec.id,
    state: guest.state,
    ...(guest.state === 'stopped' ? {} : { pid: guest.pid }),
    ...(guest.exit === undefined ? {} : { exit: guest.exit }),
  };
}

function interfaceOf({ spec }: FakeGuest, name: string): HypervisorSpec['interfaces'][number] {
  const found = spec.interfaces.find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new ApiError('interface.not_found', { detail: `Machine ${spec.id} has no interface ${name}.`, remedy: 'Name one that it has.' });
}

function noBalloon(id: string): ApiError {
  return new ApiError('machine.no_balloon', { detail: `Machine ${id} has no balloon.`, remedy: 'Create it with one.' });
}
