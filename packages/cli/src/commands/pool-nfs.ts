// SPDX-License-Identifier: Apache-2.0
// How the command line writes what a pool of the kind `nfs` is on.
import type { NfsOptions, NfsPool } from '@flotilla/sdk';
import { InvalidArgumentError } from 'commander';

export type NfsExport = Pick<NfsPool, 'server' | 'path'>;

const NUMBERS = ['timeo', 'retrans', 'nconnect'] as const;

/** `server:/path`; an IPv6 address in brackets. Whether these are sound is for the API to say. */
export function nfsExport(text: string): NfsExport {
  const found = /^(?:\[([^\]]+)\]|([^:/]+)):(\/.*)$/.exec(text);
  const server = found?.[1] ?? found?.[2];
  const path = found?.[3];
  if (server === undefined || path === undefined) throw new InvalidArgumentError('Give server:/path, for example nas:/srv/machines.');
  return { server, path };
}

export function exportText({ server, path }: NfsExport): string {
  return `${server.includes(':') ? `[${server}]` : server}:${path}`;
}

/** `soft,timeo=50`. */
export function nfsOptions(text: string): NfsOptions {
  const options: NfsOptions = {};
  for (const part of text.split(',')) {
    const [name, value = ''] = part.split('=');
    const number = NUMBERS.find((one) => one === name);
    if (part === 'hard' || part === 'soft') options.mode = part;
    else if (number !== undefined && /^\d+$/.test(value)) options[number] = Number(value);
    else
      throw new InvalidArgumentError(
        `${JSON.stringify(part)} is none of: hard, soft, ${NUMBERS.map((one) => `${one}=NUMBER`).join(', ')}.`,
      );
  }
  return options;
}
