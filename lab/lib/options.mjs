// SPDX-License-Identifier: Apache-2.0
// The command line of `lab.mjs`.

import { isAbsolute, resolve } from 'node:path';
import { Failure } from '../../scripts/lib/failure.mjs';

/** The lab itself failed; never the command's own status unless the command chose it. */
export const STATUS_LAB_FAILED = 125;
/** The command was ended by --timeout. */
export const STATUS_TIMED_OUT = 124;

export const USAGE = `Usage: npm run lab -- [options] [--] command [argument...]

Runs a command inside the lab: a virtual Linux with a real /dev/kvm, whose files are this host's files under a
throw-away overlay. /tmp and /run start empty. Output is live; the command's exit status becomes ours.

  --memory MiB      memory of the lab (4096)
  --cpus N          processors of the lab (1 with tcg, whose guests break with more; 2 with kvm)
  --timeout S       end the command after S seconds (none), status 124
  --writable DIR    what the command writes below DIR stays on the host; may be repeated
  --env NAME[=V]    set a variable inside, or pass ours on; may be repeated
  --stdin           pass standard input on (by itself when it is a terminal)
  --no-stdin        give the command an empty standard input
  --accel KIND      kvm or tcg (kvm where the host has hardware KVM and nesting, else tcg)
  --clock KIND      host, or instructions: an emulated processor that needs a nanosecond for each instruction, so that
                    the same work takes the same time on every host; for measurements (host)
  --verbose         say how long the start took, and what the lab's kernel printed
  --prepare         only build what the lab needs, then exit
  --help            print this

Exit status: the command's own; 128 + n when signal n ended it; 124 after --timeout; 125 when the lab failed;
126 and 127 when the command cannot be run or is not there.`;

const NUMBERS = { '--memory': 'memory', '--cpus': 'cpus', '--timeout': 'timeout' };
const FLAGS = { '--stdin': 'stdin', '--no-stdin': 'noStdin', '--verbose': 'verbose', '--prepare': 'prepare', '--help': 'help' };
const LIMITS = { memory: [512, 1 << 20], cpus: [1, 64], timeout: [1, 86_400] };

/**
 * @param {readonly string[]} argv
 * @param {NodeJS.ProcessEnv} environment where `--env NAME` takes its value from
 */
export function parseOptions(argv, environment = process.env) {
  const options = { memory: 4096, writable: [], env: {}, command: [] };
  const rest = [...argv];
  while (rest.length > 0) {
    const word = rest.shift();
    if (word === '--') {
      options.command.push(...rest);
      break;
    }
    if (!word.startsWith('-')) {
      options.command.push(word, ...rest);
      break;
    }
    parseOption(options, word, rest, environment);
  }
  if (options.clock === 'instructions' && options.accelerator === 'kvm')
    throw wrong('--clock instructions needs --accel tcg: only an emulator counts instructions');
  if (options.command.length === 0 && !options.help && !options.prepare) throw wrong('There is no command to run');
  return options;
}

function parseOption(options, word, rest, environment) {
  const equals = word.indexOf('=');
  const name = equals < 0 ? word : word.slice(0, equals);
  if (name in FLAGS && equals < 0) {
    options[FLAGS[name]] = true;
    return;
  }
  const value = equals < 0 ? rest.shift() : word.slice(equals + 1);
  if (value === undefined || value === '') throw wrong(`${name} is unknown or needs a value`);
  if (name in NUMBERS) options[NUMBERS[name]] = number(name, value);
  else if (name === '--writable') options.writable.push(isAbsolute(value) ? value : resolve(value));
  else if (name === '--env') Object.assign(options.env, variable(value, environment));
  else if (name === '--clock' && (value === 'host' || value === 'instructions')) options.clock = value;
  else if (name === '--accel' && (value === 'kvm' || value === 'tcg')) options.accelerator = value;
  else throw wrong(`${name} ${value} is not understood`);
}

function number(name, value) {
  const [least, most] = LIMITS[NUMBERS[name]];
  if (!/^\d+$/.test(value) || Number(value) < least || Number(value) > most) {
    throw wrong(`${name} ${value}: expected a whole number from ${least} to ${most}`);
  }
  return Number(value);
}

function variable(text, environment) {
  const equals = text.indexOf('=');
  if (equals === 0) throw wrong(`--env ${text}: the name is missing`);
  if (equals > 0) return { [text.slice(0, equals)]: text.slice(equals + 1) };
  return environment[text] === undefined ? {} : { [text]: environment[text] };
}

function wrong(message) {
  return new Failure(message, 'npm run lab -- --help', { exitStatus: STATUS_LAB_FAILED });
}
