// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Flotilla } from '@flotilla/sdk';
import type { Command } from 'commander';
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
  const baseUrl = options.url ?? process.env['FLOTILLA_URL'] ?? localUrl();
  const apiKey = options.apiKey ?? process.env['FLOTILLA_API_KEY'] ?? (isHere(baseUrl) ? localKey() : undefined);
  const client = new Flotilla({ ...(baseUrl === undefined ? {} : { baseUrl }), ...(apiKey === undefined ? {} : { apiKey }) });
  return { client, output: options.output, signal: interrupted() };
}

/** Where an orchestrator of this user keeps its data. */
export function dataDirectory(): string {
  const chosen = process.env['FLOTILLA_DATA_DIR'];
  if (chosen !== undefined && chosen !== '') return chosen;
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

/** Whether an address is on this host. The administrator's key that lies here is shown to no other. */
function isHere(url: string | undefined): boolean {
  if (url === undefined || url === localUrl()) return true;
  return URL.canParse(url) && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);
}

function localKey(): string | undefined {
  return readIfThere('admin.key')?.trim();
}

function readIfThere(name: string): string | undefined {
  try {
    return readFileSync(join(dataDirectory(), name), 'utf8');
  } catch {
    return undefined;
  }
}

function interrupted(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => controller.abort());
  return controller.signal;
}
