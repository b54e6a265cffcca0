// SPDX-License-Identifier: Apache-2.0
import { Argument, type Command, type Option } from 'commander';
import { contextOf } from '../context.js';
import { print } from '../output/render.js';
import { SuggestingOption } from '../values.js';

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
  // Bash makes a word of its own of the = in --output=json; the other shells leave it in.
  const given = words.filter((word, index) => word !== '=' || index === words.length - 1);
  const current = given.at(-1) ?? '';
  const command = innermost(program, given.slice(0, -1));
  const candidates = await candidatesFor(command, given.at(-2), current, context);
  const start = current === '=' ? '' : current;
  return candidates.filter((candidate) => candidate.startsWith(start)).sort();
}

async function candidatesFor(command: Command, previous: string | undefined, current: string, context: Command): Promise<string[]> {
  const awaiting = optionNamed(command, previous);
  if (awaiting !== undefined) return valuesOf(awaiting, context);
  const [, name] = /^(--[^=]+)=/.exec(current) ?? [];
  const begun = optionNamed(command, name);
  if (begun !== undefined) return (await valuesOf(begun, context)).map((value) => `${name}=${value}`);
  if (current.startsWith('-')) return optionNames(command);
  return [...subcommandsOf(command), ...choicesOf(command), ...(await namesOf(command.registeredArguments[0]?.name(), context))];
}

function innermost(program: Command, words: readonly string[]): Command {
  let command = program;
  for (const word of words) command = command.commands.find((child) => child.name() === word) ?? command;
  return command;
}

/** The option that still wants a value. */
function optionNamed(command: Command, word: string | undefined): Option | undefined {
  return optionsOf(command).find((option) => word !== undefined && option.required && (option.long === word || option.short === word));
}

/** Its own and those of all above it. */
function optionsOf(command: Command): readonly Option[] {
  return [...command.options, ...(command.parent === null ? [] : optionsOf(command.parent))];
}

function optionNames(command: Command): string[] {
  return [...optionsOf(command).flatMap(({ long }) => long ?? []), '--help'];
}

function valuesOf(option: Option, context: Command): string[] | Promise<string[]> {
  if (option instanceof SuggestingOption) return [...option.suggestions];
  if (option.argChoices !== undefined) return option.argChoices;
  if (option.long === '--kernel' || option.long === '--initrd') return namesOf('image', context);
  return option.long === '--network' ? namesOf('network', context) : [];
}

function choicesOf(command: Command): readonly string[] {
  return command.registeredArguments[0]?.argChoices ?? [];
}

function subcommandsOf(command: Command): string[] {
  return command.commands.map((child) => child.name()).filter((name) => !name.startsWith('__'));
}

/** Names of what there is of a kind. Where no orchestrator answers, there are none. */
async function namesOf(kind: string | undefined, context: Command): Promise<string[]> {
  const { client } = contextOf(context);
  const quick = { timeoutMs: 1000, maxRetries: 0 };
  try {
    if (kind === 'machine') return (await client.machines.list({}, quick).all()).map(({ name }) => name);
    if (kind === 'image') return (await client.images.list({}, quick).all()).map(({ name }) => name);
    if (kind === 'network') return (await client.networks.list({}, quick).all()).map(({ name }) => name);
    if (kind === 'pool') return (await client.pools.list({}, quick).all()).map(({ name }) => name);
    if (kind === 'operation') return (await client.operations.list({}, quick)).items.map(({ id }) => id);
  } catch {
    return [];
  }
  return [];
}
