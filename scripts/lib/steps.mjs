// SPDX-License-Identifier: Apache-2.0
// Runs named steps one after the other: says what runs, shows that a quiet step is alive, keeps a full log, and
// remembers how long each step took. Everything goes to standard error, so that a script's output stays its own.

import { spawn } from 'node:child_process';
import { mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, logDirectory } from './cache.mjs';
import { Failure } from './failure.mjs';
import { asUser, identityFor } from './user.mjs';

const HEARTBEAT_TERMINAL_MS = 1_000;
const HEARTBEAT_PLAIN_MS = 10_000;
const TAIL_LINES = 20;
/** The cause often stands long before the end. */
const FIRST_ERRORS = 5;
const ERROR = /\berror\b|^E:/i;

/** What a running step can do: run programs, note what it is at. */
class Step {
  constructor(title, log) {
    this.title = title;
    this.log = log;
    this.note = '';
    this.tail = [];
    this.firstErrors = [];
    this.started = performance.now();
  }

  /** Shown by the next heartbeat, kept in the log. */
  say(text) {
    this.note = text;
    this.log.write(`# ${text}\n`);
  }

  /**
   * Runs a program to its end, its output into the log; resolves with its standard output. One that builds runs as whoever called sudo.
   * @param {string} program
   * @param {readonly string[]} args
   * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, remedy?: string, input?: string }} [options]
   */
  run(program, args, { cwd, env, remedy, input } = {}) {
    this.log.write(`$ ${[program, ...args].join(' ')}\n`);
    return new Promise((resolve, reject) => {
      const child = spawn(program, args, {
        cwd,
        ...identityFor(program, env),
        stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      });
      const output = [];
      child.stdout.on('data', (bytes) => {
        output.push(bytes);
        this.#record(bytes);
      });
      child.stderr.on('data', (bytes) => this.#record(bytes));
      if (input !== undefined) child.stdin.end(input);
      child.on('error', (error) => reject(new Failure(`Cannot start ${program}: ${error.message}`, remedy)));
      child.on('close', (status, signal) => {
        if (status === 0) resolve(Buffer.concat(output).toString());
        else reject(new Failure(`${program} ended with ${signal ?? `status ${status}`}`, remedy));
      });
    });
  }

  /** Lines that may tell why it failed. */
  clues() {
    const early = this.firstErrors.filter((line) => !this.tail.includes(line));
    return early.length > 0 ? [...early, '...', ...this.tail] : this.tail;
  }

  #record(bytes) {
    this.log.write(bytes);
    const lines = bytes
      .toString()
      .split(/[\r\n]+/)
      .filter((line) => line.trim() !== '');
    this.tail = [...this.tail, ...lines].slice(-TAIL_LINES);
    this.firstErrors = [...this.firstErrors, ...lines.filter((line) => ERROR.test(line))].slice(0, FIRST_ERRORS);
    this.note = lines.at(-1) ?? this.note;
  }
}

export class Steps {
  /**
   * @param {string} name names the log file
   * @param {{ output?: NodeJS.WriteStream }} [options]
   */
  constructor(name, { output = process.stderr } = {}) {
    this.output = output;
    this.durations = [];
    this.name = name;
    this.logFile = join(logDirectory(), `${name}.log`);
    this.log = undefined;
  }

  /**
   * Runs one step. `action` gets the step; what it returns is returned.
   * @template T
   * @param {string} title
   * @param {(step: Step) => Promise<T>} action
   * @returns {Promise<T>}
   */
  async step(title, action) {
    const step = new Step(title, this.#openLog());
    this.log.write(`\n== ${new Date().toISOString()} ${title}\n`);
    this.output.write(`• ${title}\n`);
    const stopHeartbeat = this.#heartbeat(step);
    try {
      const result = await action(step);
      stopHeartbeat();
      this.#finish(step, 'done');
      return result;
    } catch (error) {
      stopHeartbeat();
      this.#finish(step, 'failed');
      for (const line of step.clues()) this.output.write(`    ${line}\n`);
      if (step.tail.length > 0) this.output.write(`  Full log: ${this.logFile}\n`);
      throw error;
    }
  }

  /** Notes a duration measured elsewhere, in seconds. */
  record(title, seconds) {
    this.durations.push({ title, seconds });
  }

  /** Lines of a table: every step and how long it took. */
  table() {
    const width = Math.max(5, ...this.durations.map(({ title }) => title.length));
    const line = (title, seconds) => `  ${title.padEnd(width)}  ${seconds.toFixed(1).padStart(7)} s\n`;
    const total = this.durations.reduce((sum, { seconds }) => sum + seconds, 0);
    return this.durations.map(({ title, seconds }) => line(title, seconds)).join('') + line('Total', total);
  }

  #finish(step, outcome) {
    const seconds = (performance.now() - step.started) / 1000;
    this.record(step.title, seconds);
    this.output.write(`  ${outcome} in ${seconds.toFixed(1)} s\n`);
  }

  #heartbeat(step) {
    const terminal = this.output.isTTY === true;
    let drawn = false;
    const timer = setInterval(
      () => {
        const seconds = Math.round((performance.now() - step.started) / 1000);
        const room = terminal ? Math.max(20, (this.output.columns ?? 80) - 12) : 100;
        const text = `  … ${seconds} s  ${step.note.trim().slice(0, room)}`;
        this.output.write(terminal ? `\r\x1b[K${text}` : `${text}\n`);
        drawn = terminal;
      },
      terminal ? HEARTBEAT_TERMINAL_MS : HEARTBEAT_PLAIN_MS,
    );
    return () => {
      clearInterval(timer);
      if (drawn) this.output.write('\r\x1b[K');
    };
  }

  #openLog() {
    if (this.log === undefined) {
      const file = asUser(() => {
        mkdirSync(logDirectory(), { recursive: true });
        return openSync(this.logFile, 'a');
      }, cacheDirectory());
      // At once: whoever is told to read the log finds everything in it.
      this.log = { write: (data) => (typeof data === 'string' ? writeSync(file, data) : writeSync(file, data, 0, data.length)) };
    }
    return this.log;
  }
}
