// SPDX-License-Identifier: Apache-2.0
import { createInterface } from 'node:readline/promises';
import type { MachineHandle } from '@flotilla/sdk';
import { Argument, type Command } from 'commander';
import { attachConsole } from '../console/attach.js';
import { contextOf } from '../context.js';
import { UsageError } from '../failure.js';
import { showProgress } from '../output/progress.js';
import { print, printList, printOne, say } from '../output/render.js';
import { collectLabel, wholeNumber } from '../values.js';
import { addBalloonCommand } from './machine-balloon.js';
import { addDiskCommands } from './machine-disk.js';
import { machineColumns, machineDetails } from './machine-columns.js';
import { addStatsCommand } from './machine-stats.js';
import { toThrottleChange } from './throttle-options.js';
import { addMachineCreateCommand } from './machine-create.js';
import { addMachineSetCommand } from './machine-set.js';

export function addMachineCommands(program: Command): void {
  const machine = program.command('machine').description('virtual machines');
  addMachineCreateCommand(machine);
  addList(machine);
  addShow(machine);
  addMachineSetCommand(machine);
  addDiskCommands(machine);
  addActions(machine);
  addLink(machine);
  addAnnounce(machine);
  addThrottle(machine);
  addBalloonCommand(machine);
  addStatsCommand(machine);
  addDelete(machine);
  addConsole(machine);
  addLogs(machine);
}

function addList(machine: Command): void {
  machine
    .command('list')
    .description('list the machines')
    .option('--label <key=value>', 'only with this label (may be repeated)', collectLabel)
    .action(async (options: { label?: Record<string, string> }, command: Command) => {
      const { client, output, signal } = contextOf(command);
      const filter = options.label === undefined ? {} : { labels: options.label };
      const machines = await client.machines.list(filter, { signal }).all();
      printList(
        machines.map(({ data }) => data),
        machineColumns,
        output,
      );
    });
}

function addShow(machine: Command): void {
  machine
    .command('show <machine>')
    .description('show a machine')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne((await client.machines.get(name, { signal })).data, machineDetails, output);
    });
}

type Action = 'start' | 'kill' | 'pause' | 'resume';
const actions: ReadonlyArray<readonly [Action, string]> = [
  ['start', 'start a stopped machine'],
  ['kill', 'end a machine at once, as if its power cord were pulled'],
  ['pause', 'halt its CPUs; memory and connections stay'],
  ['resume', 'let a paused machine go on'],
];

function addActions(machine: Command): void {
  for (const [action, description] of actions) {
    withWait(machine.command(`${action} <machine>`).description(description)).action(
      async (name: string, options: WaitOption, command: Command) => {
        const { client, signal } = contextOf(command);
        await finish(client.machines[action](name, { signal, onProgress: showProgress() }), options, command);
      },
    );
  }
  for (const action of ['stop', 'restart'] as const) {
    withWait(machine.command(`${action} <machine>`))
      .description(action === 'stop' ? 'press the power button and wait; kill when the time is over' : 'stop, then start')
      .option('--timeout <seconds>', 'how long the guest has to power off', wholeNumber, 30)
      .option('--no-kill', 'fail instead of killing when the time is over')
      .action(async (name: string, options: WaitOption & { timeout: number; kill: boolean }, command: Command) => {
        const { client, signal } = contextOf(command);
        const params = { timeoutSeconds: options.timeout, thenKill: options.kill };
        await finish(client.machines[action](name, params, { signal, onProgress: showProgress() }), options, command);
      });
  }
}

interface WaitOption {
  readonly wait: boolean;
}

function withWait(command: Command): Command {
  return command.option('--no-wait', 'return as soon as the change is accepted');
}

async function finish(
  pending: ReturnType<ReturnType<typeof contextOf>['client']['machines']['start']>,
  options: WaitOption,
  command: Command,
): Promise<void> {
  const { output } = contextOf(command);
  if (!options.wait) print((await pending.accepted()).id);
  else printOne((await pending).data, machineColumns, output);
}

function addLink(machine: Command): void {
  machine
    .command('link <machine> <interface>')
    .description('plug the cable of an interface in, or pull it out')
    .addArgument(new Argument('<state>', 'what it shall be').choices(['up', 'down']))
    .action(async (name: string, link: string, state: 'up' | 'down', _options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne((await client.machines.setLink(name, link, state, { signal })).data, machineColumns, output);
    });
}

function addAnnounce(machine: Command): void {
  machine
    .command('announce <machine> <interface>')
    .description('have the guest tell the network of an interface where it is')
    .action(async (name: string, link: string, _options: unknown, command: Command) => {
      const { client, signal } = contextOf(command);
      await (await client.machines.get(name, { signal })).announce(link, { signal });
    });
}

function addThrottle(machine: Command): void {
  machine
    .command('throttle <machine> <target> <limits>')
    .description('change what disk:NAME, rx:NAME, tx:NAME, group:NAME or rng may do: bps=10M,bps-burst=20M,ops=100,ops-burst=200, or none')
    .action(async (name: string, target: string, limits: string, _options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne((await client.machines.setThrottle(name, toThrottleChange(target, limits), { signal })).data, machineColumns, output);
    });
}

function addDelete(machine: Command): void {
  machine
    .command('delete <machine...>')
    .description('delete machines and the volumes made for them')
    .option('--force', 'also machines that run, or whose pool cannot be reached')
    .option('-y, --yes', 'do not ask')
    .action(async (names: string[], options: { force?: boolean; yes?: boolean }, command: Command) => {
      const { client, signal } = contextOf(command);
      await confirm(`Delete ${names.join(', ')} with all data on their disks?`, options.yes === true);
      for (const name of names) {
        await client.machines.delete(name, { force: options.force ?? false }, { signal, onProgress: showProgress() });
        say(`Machine ${name} is deleted.`);
      }
    });
}

/** Asks before something is destroyed. Where nobody can answer, `--yes` is required. */
async function confirm(question: string, yes: boolean): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY) throw new UsageError(`${question} Nobody is there to answer: add --yes.`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim())) throw new UsageError('Nothing was deleted.');
  } finally {
    terminal.close();
  }
}

function addConsole(machine: Command): void {
  machine
    .command('console <machine>')
    .description('attach to a console until ^] or the end of the machine; a lost orchestrator is waited for')
    .option(
      '--port <name>',
      'a port of the console device, hvc0 for its terminal, which follows the size of this one (default: the serial console)',
    )
    .option('--read-only', 'watch without typing')
    .option('--from <offset>', 'begin at this byte of the output', wholeNumber)
    .action(async (name: string, options: { port?: string; readOnly?: boolean; from?: number }, command: Command) => {
      const { client, signal } = contextOf(command);
      const found: MachineHandle = await client.machines.get(name, { signal });
      await attachConsole(found, {
        write: options.readOnly !== true,
        ...(options.port === undefined ? {} : { port: options.port }),
        ...(options.from === undefined ? {} : { offset: options.from }),
      });
    });
}

function addLogs(machine: Command): void {
  machine
    .command('logs <machine>')
    .description('print what the console showed, also of a stopped machine')
    .option('--tail <bytes>', 'only the last so many bytes', wholeNumber)
    .action(async (name: string, options: { tail?: number }, command: Command) => {
      const { client, signal } = contextOf(command);
      const found = await client.machines.get(name, { signal });
      process.stdout.write(await found.logs(options.tail === undefined ? {} : { tailBytes: options.tail }, { signal }));
    });
}
