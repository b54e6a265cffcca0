// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CreateMachine, Flotilla, type MachineHandle } from '@flotilla/sdk';
import { expect } from 'chai';
import { Guest } from './guest.js';
import { imageFiles, machineFiles, type Places } from './leftovers.js';

const top = fileURLToPath(new URL('../../../../', import.meta.url));
const orchestratorEntry = fileURLToPath(import.meta.resolve('@flotilla/orchestrator'));

/** A test that fails half way leaves its orchestrator; the run must end all the same. */
const running = new Set<ChildProcess>();
after(() => {
  for (const child of running) child.kill('SIGKILL');
});

export function newPlaces(): Places {
  return { dataDir: mkdtempSync(join(tmpdir(), 'flotilla-data-')), runtimeDir: mkdtempSync(join(tmpdir(), 'flotilla-run-')) };
}

/** An orchestrator process of its own, as `flotilla up` starts it, and a client for it. */
export class Cloud {
  readonly client: Flotilla;
  readonly apiKey: string;
  readonly url: string;
  readonly places: Places;
  /** Milliseconds from the start of the process until it listened. */
  readonly startMs: number;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, url: string, places: Places, startMs: number) {
    this.#process = process;
    this.places = places;
    this.url = url;
    this.startMs = startMs;
    this.apiKey = readFileSync(join(places.dataDir, 'admin.key'), 'utf8').trim();
    this.client = new Flotilla({ baseUrl: url, apiKey: this.apiKey, timeoutMs: 300_000 });
  }

  static async start(places: Places = newPlaces(), env: Record<string, string> = {}): Promise<Cloud> {
    const began = performance.now();
    const child = spawn(process.execPath, [orchestratorEntry], {
      cwd: top,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        FLOTILLA_DATA_DIR: places.dataDir,
        FLOTILLA_RUNTIME_DIR: places.runtimeDir,
        FLOTILLA_LISTEN: '127.0.0.1:0',
        ...env,
      },
    });
    running.add(child);
    child.once('exit', () => running.delete(child));
    const url = await listening(child);
    return new Cloud(child, url, places, performance.now() - began);
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** The orchestrator dies as by a power cut; machines are not told. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.exited();
  }

  /** Resolves when the orchestrator is gone, whoever ended it. */
  async exited(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await once(this.#process, 'exit');
  }

  /** Ends the orchestrator in order; machines go on. */
  async stop(): Promise<void> {
    this.#process.kill('SIGTERM');
    await this.exited();
  }

  /** Deletes every machine: what a test that failed has left must not fail the next. */
  async clear(): Promise<void> {
    for await (const machine of this.client.machines.list()) await machine.delete({ force: true });
  }

  /** Deletes every machine, ends the orchestrator and removes its files; no machine may have left one, and an image just its own. */
  async destroy(): Promise<void> {
    await this.clear();
    const images = (await this.client.images.list().all()).map(({ id }) => id);
    await this.stop();
    const left = { machines: machineFiles(this.places), images: imageFiles(this.places) };
    removePlaces(this.places);
    expect(left, 'files left').to.deep.equal({ machines: [], images: images.sort() });
  }

  /** A machine with the small guest, and its shell. */
  async boot(name: string, more: Partial<CreateMachine> & { readonly commandLine?: string } = {}): Promise<Guest> {
    const { commandLine = '', ...params } = more;
    const machine = await this.client.machines.create(smallMachine(name, commandLine, params));
    return Guest.attach(machine);
  }

  /** The machine of that name, freshly read. */
  machine(name: string): Promise<MachineHandle> {
    return this.client.machines.get(name);
  }
}

/** What to ask for to get a machine with the small guest. */
export function smallMachine(name: string, commandLine = '', params: Partial<CreateMachine> = {}): CreateMachine {
  return {
    name,
    cpus: 1,
    memoryMiB: 128,
    boot: { kernel: 'small', initrd: 'small-init', commandLine: `console=ttyS0 quiet panic=-1 ${commandLine}`.trim() },
    ...params,
  };
}

export function removePlaces(places: Places): void {
  rmSync(places.dataDir, { recursive: true, force: true });
  rmSync(places.runtimeDir, { recursive: true, force: true });
}

/** The address in the line that the orchestrator prints once it listens. */
function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      said += chunk.toString('utf8');
      const found = /listening on (http:\S+)/.exec(said)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once('exit', (status, signal) => reject(new Error(`The orchestrator ended (${signal ?? status}) before it listened: ${said}`)));
  });
}
