// SPDX-License-Identifier: Apache-2.0
import { type Command, Argument } from 'commander';
import { contextOf } from '../context.js';
import { print } from '../output/render.js';

/** The shells ask the program itself: `flotilla __complete <words before the cursor> <word under it>`. */
const scripts: Readonly<Record<string, string>> = {
  bash: `_flotilla() {
  local IFS=$'\\n'
  COMPREPLY=( $(flotilla __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) )
}
complete -o default -F _flotilla flotilla`,
  zsh: `#compdef flotilla
_flotilla() {
  local -a candidates
  candidates=( \${(f)"$(flotilla __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)"} )
  compadd -a candidates
}
compdef _flotilla flotilla`,
  fish: `complete -c flotilla -f -a '(flotilla __complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'`,
};

export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('print a script that completes commands and names; for bash: source <(flotilla completion bash)')
    .addArgument(new Argument('<shell>').choices(Object.keys(scripts)))
    .action((shell: string) => print(scripts[shell] ?? ''));
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .action(async (words: string[], _options: unknown, command: Command) => {
      for (const candidate of await complete(program, words, command)) print(candidate);
    });
}

/** Candidates for the last word, by the alphabet. */
export async function complete(program: Command, words: readonly string[], context: Command): Promise<string[]> {
  const current = words.at(-1) ?? '';
  const command = innermost(program, words.slice(0, -1));
  const candidates = current.startsWith('-') ? optionsOf(command) : [...subcommandsOf(command), ...(await namesFor(command, context))];
  return candidates.filter((candidate) => candidate.startsWith(current)).sort();
}

function innermost(program: Command, words: readonly string[]): Command {
  let command = program;
  for (const word of words) command = command.commands.find((child) => child.name() === word) ?? command;
  return command;
}

function optionsOf(command: Command): string[] {
  const own = [command, ...(command.parent === null ? [] : [command.parent])];
  return [...own.flatMap(({ options }) => options.map(({ long }) => long ?? '')), '--help'].filter((name) => name !== '');
}

function subcommandsOf(command: Command): string[] {
  return command.commands.map((child) => child.name()).filter((name) => !name.startsWith('__'));
}

/** Names of what the first argument of the command means. Where no orchestrator answers, there are none. */
async function namesFor(command: Command, context: Command): Promise<string[]> {
  const kind = command.registeredArguments[0]?.name();
  const { client } = contextOf(context);
  const quick = { timeoutMs: 1000, maxRetries: 0 };
  try {
    if (kind === 'machine') return (await client.machines.list({}, quick).all()).map(({ name }) => name);
    if (kind === 'image') return (await client.images.list({}, quick).all()).map(({ name }) => name);
    if (kind === 'network') return (await client.networks.list({}, quick).all()).map(({ name }) => name);
    if (kind === 'operation') return (await client.operations.list({}, quick)).items.map(({ id }) => id);
  } catch {
    return [];
  }
  return [];
}
