// SPDX-License-Identifier: Apache-2.0
import type { MachineExitFacts, MachineObservation } from '../../../host-agent/host-agent.js';
import { CONSOLE_KEEP_BYTES } from '../../console-archive.js';
import type { HypervisorSpec } from '../hypervisor.js';
import { TERMINAL_PORT } from '../../../common/console-ports.js';
import { ConsoleRing } from './console-ring.js';
import { FakePort } from './fake-port.js';
import { type GuestScript, parseScript } from './script.js';

/** A machine that only pretends: it prints, echoes, takes a few commands, and ends as its script says. */
export class FakeGuest {
  readonly ring = new ConsoleRing(CONSOLE_KEEP_BYTES);
  readonly script: GuestScript;
  readonly pid: number;
  state: MachineObservation['state'] = 'configured';
  exit: MachineExitFacts | undefined;
  writerTaken = false;
  /** The consoles of its ports. */
  readonly ports: ReadonlyMap<string, FakePort>;
  private line = '';
  private startedAt = 0;
  private readonly timers = new Set<NodeJS.Timeout>();

  constructor(
    readonly spec: HypervisorSpec,
    pid: number,
    private readonly onEnd: (guest: FakeGuest) => void,
    private readonly onWatchdog: (guest: FakeGuest) => void,
  ) {
    this.pid = pid;
    const names = spec.console === undefined ? [] : [TERMINAL_PORT, ...spec.console.ports.map(({ name }) => name)];
    this.ports = new Map(names.map((name) => [name, new FakePort()]));
    this.script = parseScript(spec.commandLine ?? '');
  }

  start(): void {
    this.state = 'running';
    this.startedAt = Date.now();
    this.print(`Flotilla fake guest: ${this.spec.cpus} CPUs, ${this.spec.memoryMiB} MiB\r\n# `);
    this.after(this.script.panicAfterMs, () =>
      this.end({ reason: 'panic', detail: 'The fake guest panicked as its script says.', registers: { rip: '0xffffffff81000000' } }),
    );
    this.after(this.script.crashAfterMs, () =>
      this.end({ reason: 'worker-exited', detail: 'The fake worker was ended by signal SIGKILL.' }),
    );
    this.after(this.script.watchdogAfterMs, () => this.onWatchdog(this));
    this.after(this.script.poweroffAfterMs, () => this.end({ reason: 'powered-off', detail: 'The guest powered itself off.' }));
  }

  /** A disk has another size: a real kernel says so too. */
  noteDisk(name: string, sizeBytes: number): void {
    this.print(`${name}: detected capacity change to ${sizeBytes} bytes\r\n# `);
  }

  end(exit: MachineExitFacts): void {
    if (this.state === 'stopped') return;
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.state = 'stopped';
    this.exit = exit;
    for (const { ring } of [this, ...this.ports.values()]) ring.finish();
    this.onEnd(this);
  }

  /** What a person types: echoed, and run at the end of a line. */
  type(bytes: Uint8Array): void {
    if (this.state !== 'running') return;
    for (const char of Buffer.from(bytes).toString('latin1')) {
      if (char !== '\r' && char !== '\n') {
        if (this.line.length < 4096) this.line += char;
        this.print(char);
        continue;
      }
      const command = this.line.trim();
      this.line = '';
      this.print('\r\n');
      this.run(command);
    }
  }

  metrics(): Record<string, number> {
    const ran = this.state === 'running' ? (Date.now() - this.startedAt) * 1e6 : 0;
    const vcpus = Array.from({ length: this.spec.cpus }, (_, vcpu) =>
      Object.entries({ exits_port_out: this.ring.end, run_ns: ran, wait_ns: 0 }).map(([name, value]) => [`vcpu:${vcpu}.${name}`, value]),
    );
    const disks = this.spec.disks.flatMap(({ name }) =>
      [`disk:${name}.read_bytes`, `disk:${name}.pci_resets`].map((counter) => [counter, 512]),
    );
    return {
      ...Object.fromEntries([...vcpus.flat(), ...disks]),
      'process.resident_bytes': this.spec.memoryMiB * 2 ** 20,
      'serial0.bytes_sent': this.ring.end,
    };
  }

  print(text: string): void {
    this.ring.append(Buffer.from(text, 'latin1'));
  }

  private run(command: string): void {
    if (command === 'poweroff') this.end({ reason: 'powered-off', detail: 'The guest powered itself off.' });
    else if (command === 'panic') this.end({ reason: 'panic', detail: 'The fake guest was told to panic.' });
    else if (command === 'crash') this.end({ reason: 'worker-exited', detail: 'The fake worker was ended by signal SIGKILL.' });
    else if (command === 'uname -a') this.print('Linux fake 0.0.0 #1 SMP x86_64 GNU/Linux\r\n');
    else if (command !== '') this.print(`${command.split(' ')[0] ?? ''}: not found\r\n`);
    if (this.state === 'running') this.print('# ');
  }

  private after(milliseconds: number | undefined, act: () => void): void {
    if (milliseconds === 0) act();
    else if (milliseconds !== undefined) this.timers.add(setTimeout(act, milliseconds).unref());
  }
}
