// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { addCompletionCommand } from './commands/completion.js';
import { addDoctorCommand } from './commands/doctor.js';
import { addEventCommands } from './commands/event.js';
import { addImageCommands } from './commands/image.js';
import { addMachineCommands } from './commands/machine.js';
import { addNetworkCommands } from './commands/network.js';
import { addPoolCommands } from './commands/pool.js';
import { addVolumeCommands } from './commands/volume.js';
import { addOperationCommands } from './commands/operation.js';
import { addUpCommand } from './commands/up.js';
import { outputFormats } from './output/render.js';

const help = `
Exit status: 0 done, 1 failed, 2 wrong use, 3 no orchestrator answers, 4 key refused, 5 no such thing, 130 interrupted.
Environment:
  FLOTILLA_URL, FLOTILLA_API_KEY  as --url and --api-key. On the orchestrator's own host both are found by themselves, in its data
                                  directory; unless both are given, the key is sent only to a process of root, of yours, or of who
                                  owns the data directory's key (else: connection.untrusted, 3).
  FLOTILLA_DATA_DIR               that data directory (/var/lib/flotilla for root, else ~/.local/share/flotilla)
  FLOTILLA_PATIENCE               seconds (60) that "machine console", "event watch" and "operation watch" wait for an orchestrator
                                  that goes away while they run; then they end with 3. They go on where they were.`;

/** The whole command line: nouns, then verbs. */
export function makeProgram(): Command {
  const program = new Command('flotilla')
    .description('Run and manage virtual machines on Linux KVM.')
    .version(version(), '-V, --version')
    .option('--url <url>', 'address of the orchestrator')
    .option('--api-key <key>', 'API key')
    .addOption(new Option('-o, --output <format>', 'how to print results').choices([...outputFormats]).default('table'))
    .addHelpText('after', help)
    .showHelpAfterError('(add --help for the options)')
    .exitOverride();
  addUpCommand(program);
  addDoctorCommand(program);
  addMachineCommands(program);
  addImageCommands(program);
  addNetworkCommands(program);
  addPoolCommands(program);
  addVolumeCommands(program);
  addOperationCommands(program);
  addEventCommands(program);
  addCompletionCommand(program);
  for (const command of allCommands(program)) command.exitOverride();
  return program;
}

/** A command and everything under it. */
export function* allCommands(command: Command): Generator<Command> {
  yield command;
  for (const child of command.commands) yield* allCommands(child);
}

function version(): string {
  return (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
}
