// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { newId } from '../common/ids.js';
import { Database } from '../database/database.js';
import { metaValue, setMeta, storedMeta } from '../database/meta.js';
import { type CollectReport, HostAgent, type Ownership } from '../host-agent/host-agent.js';

const BOOT_ID = 'host.boot-id';

/**
 * What ties this database to its host: the id of the installation, which the host's data directory has too, and the start of the
 * host that was settled last. What only the owner of the host may ask for goes through here.
 */
@Injectable()
export class Installation {
  private known: Promise<string> | undefined;
  private bootId: string | undefined;

  constructor(
    private readonly database: Database,
    private readonly agent: HostAgent,
  ) {}

  /** Takes hold of the host; fails with `host.data_foreign` when its data belong to another database, unless they are to be adopted. */
  async claimHost({ adopt = false } = {}): Promise<void> {
    await this.agent.claim({ installation: await this.id(), knowsNothing: await this.knowsNothing(), adopt });
  }

  /** Removes from the host what is not owned, see `HostAgent.collectGarbage`. */
  async collectGarbage(owned: Omit<Ownership, 'installation'>): Promise<CollectReport> {
    return this.agent.collectGarbage({ ...owned, installation: await this.id() });
  }

  /** Begins a collection; answers its number. */
  beginCollect(): Promise<{ epoch: number }> {
    return this.agent.beginCollect();
  }

  /** Whether the host was started anew since its last start was settled. */
  async hostRebooted(): Promise<boolean> {
    const { bootId } = await this.agent.describe();
    this.bootId = bootId;
    const before = await storedMeta(this.database, BOOT_ID);
    return before !== undefined && before !== bootId;
  }

  /** What ended with the host is stored: this start of the host is settled. */
  async settleBoot(): Promise<void> {
    if (this.bootId !== undefined) await setMeta(this.database, BOOT_ID, this.bootId);
  }

  private id(): Promise<string> {
    this.known ??= metaValue(this.database, 'installation.id', () => newId('ins'));
    return this.known;
  }

  private async knowsNothing(): Promise<boolean> {
    const image = await this.database.db.selectFrom('images').select('id').limit(1).executeTakeFirst();
    const volume = await this.database.db.selectFrom('volumes').select('id').limit(1).executeTakeFirst();
    return image === undefined && volume === undefined;
  }
}
