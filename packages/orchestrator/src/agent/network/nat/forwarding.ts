// SPDX-License-Identifier: Apache-2.0
import { readFile, rm, writeFile } from 'node:fs/promises';
import { KeyedQueue } from '../../../common/async.js';
import { currentBootId } from '../../boot-id.js';
import { note } from '../notes.js';

const SETTING = '/proc/sys/net/ipv4/ip_forward';

/** What was found before it was changed, and in which run of the host. */
interface Found {
  value: string;
  bootId: string;
}

/**
 * IPv4 forwarding of the host, which NAT networks need. It is one switch for everybody: it is turned off again only when this
 * program turned it on, so the value found is noted before it is changed. Found on, it is another's and is left alone for good.
 * A note of an earlier boot counts for nothing, because the host has set the switch anew since.
 */
export class Forwarding {
  private readonly queue = new KeyedQueue();

  constructor(private readonly notePath: string) {}

  /** Turns it on. */
  enable(): Promise<void> {
    return this.queue.run('', async () => {
      const value = await read(SETTING);
      if (value === '1') {
        if ((await this.found()) === undefined) await rm(this.notePath, { force: true });
        return;
      }
      await note(this.notePath, JSON.stringify({ value, bootId: await currentBootId() } satisfies Found));
      await writeFile(SETTING, '1\n');
    });
  }

  /** Puts back what was found, unless a network needs it. */
  restore(needed: () => Promise<boolean>): Promise<void> {
    return this.queue.run('', async () => {
      if (await needed()) return;
      const found = await this.found();
      if (found !== undefined && (await read(SETTING)) === '1') await writeFile(SETTING, `${found.value}\n`);
      await rm(this.notePath, { force: true });
    });
  }

  private async found(): Promise<Found | undefined> {
    const text = await readFile(this.notePath, 'utf8').catch(() => undefined);
    const found = text === undefined ? undefined : (JSON.parse(text) as Found);
    return found?.bootId === (await currentBootId()) ? found : undefined;
  }
}

async function read(path: string): Promise<string> {
  return (await readFile(path, 'utf8')).trim();
}
