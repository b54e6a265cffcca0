// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import type { CreateMachine } from '@flotilla/sdk';
import { InvalidArgumentError } from 'commander';

export interface CloudInitOptions {
  readonly userData?: string;
  readonly networkConfig?: string;
  readonly sshKey?: readonly string[];
}

/** What cloud-init is told, from the files that are named. */
export function toCloudInit({ userData, networkConfig, sshKey = [] }: CloudInitOptions): Pick<CreateMachine, 'cloudInit'> {
  if (userData === undefined && networkConfig === undefined && sshKey.length === 0) return {};
  return {
    cloudInit: {
      ...(userData === undefined ? {} : { userData: textOf(userData) }),
      ...(networkConfig === undefined ? {} : { networkConfig: textOf(networkConfig) }),
      ...(sshKey.length === 0 ? {} : { sshKeys: sshKey.flatMap(keysOf) }),
    },
  };
}

/** The keys in a file, one in each line. A private key is refused here, before it leaves this computer. */
function keysOf(path: string): string[] {
  const text = textOf(path);
  if (text.includes('PRIVATE KEY')) throw new InvalidArgumentError(`${path} holds a private key: give the file that ends in .pub.`);
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new InvalidArgumentError(`${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}
