// SPDX-License-Identifier: Apache-2.0
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type ClientOptions, Flotilla } from '@flotilla/sdk';
import type { Command } from 'commander';
import { trustedFetch } from './local/trusted-fetch.js';
import type { OutputFormat } from './output/render.js';

/** Options that every command takes. */
export interface GlobalOptions {
  readonly url?: string;
  readonly apiKey?: string;
  readonly output: OutputFormat;
}

/** What a command works with. */
export interface Context {
  readonly client: Flotilla;
  readonly output: OutputFormat;
  /** Fires on ^C. */
  readonly signal: AbortSignal;
}

/** The client and the options for a command. On the orchestrator's own host, its address and first key are read from its data directory. */
export function contextOf(command: Command): Context {
  const options = command.optsWithGlobals<GlobalOptions>();
  return { client: new Flotilla(clientOptions(options)), output: options.output, signal: interrupted() };
}

/**
 * Whom to talk to, and with which key. Who gives both, by options or environment, has chosen. Where we found one of them, nobody has said
 * who may have the key: it goes to a process of this host that may read it, and to no other (`trustedFetch`).
 */
export function clientOptions(given: Pick<GlobalOptions, 'url' | 'apiKey'>): ClientOptions {
  const givenUrl = given.url ?? setting('FLOTILLA_URL');
  const givenKey = given.apiKey ?? setting('FLOTILLA_API_KEY');
  const baseUrl = givenUrl ?? localUrl();
  const local = localKey();
  const apiKey = givenKey ?? (isHere(baseUrl) ? local?.key : undefined);
  return {
    ...(baseUrl === undefined ? {} : { baseUrl }),
    ...(apiKey === undefined ? {} : { apiKey }),
    ...(apiKey === undefined || (givenUrl !== undefined && givenKey !== undefined) ? {} : { fetch: trustedFetch(local?.owner) }),
  };
}

/** Where an orchestrator of this user keeps its data. */
export function dataDirectory(): string {
  const chosen = setting('FLOTILLA_DATA_DIR');
  if (chosen !== undefined) return chosen;
  if (process.getuid?.() === 0) return '/var/lib/flotilla';
  return join(process.env['XDG_DATA_HOME'] ?? join(homedir(), '.local', 'share'), 'flotilla');
}

function localUrl(): string | undefined {
  const text = readIfThere('orchestrator.json');
  if (text === undefined) return undefined;
  try {
    return (JSON.parse(text) as { url?: string }).url;
  } catch {
    return undefined;
  }
}

/** Whether an address is on this host, where no TLS is spoken. The administrator's key that lies here is shown to no other. */
function isHere(url: string | undefined): boolean {
  if (url === undefined || url === localUrl()) return true;
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === 'http:' && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

/** The key, and the user to whom its file belongs: who can read it there may be sent it. */
function localKey(): { readonly key: string; readonly owner: number } | undefined {
  try {
    const file = openSync(join(dataDirectory(), 'admin.key'), 'r');
    try {
      return { key: readFileSync(file, 'utf8').trim(), owner: fstatSync(file).uid };
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}

function readIfThere(name: string): string | undefined {
  try {
    return readFileSync(join(dataDirectory(), name), 'utf8');
  } catch {
    return undefined;
  }
}

/** A variable of the environment; an empty one is none. */
function setting(name: string): string | undefined {
  return process.env[name] || undefined;
}

function interrupted(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  return controller.signal;
}
