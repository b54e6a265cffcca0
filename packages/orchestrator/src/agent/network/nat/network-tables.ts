// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { ApiError } from '../../../common/api-error.js';
import type { EnsureNetworkCommand } from '../../../host-agent/host-agent.js';
import type { CommandRunner } from '../../runner/command-runner.js';
import { guardRules, isGuarded } from './guard.js';
import { ruleset, tableComment, tableName } from './ruleset.js';

/** Of tables: for packets, and for frames. */
const FAMILIES = ['inet', 'bridge'] as const;

/** The nftables tables of networks. One that bears no mark of its network is another's, and left alone. */
export class NetworkTables {
  /** Rules of each network as this process applied them, and what nft showed of them right after. */
  private readonly applied = new Map<string, { rules: string; shown: readonly string[] }>();

  constructor(private readonly runner: CommandRunner) {}

  /** Brings the tables of a network to what they shall be, in one transaction; does nothing when they are so. */
  async ensure(command: EnsureNetworkCommand): Promise<void> {
    const present = await this.shownTables(command);
    this.requireOurs(command, present);
    const stale = present[1] !== '' && !isGuarded(command) ? `delete table bridge ${tableName(command)}\n` : '';
    const rules = `${ruleset(command)}${isGuarded(command) ? guardRules(command) : stale}`;
    const before = this.applied.get(command.id);
    if (before?.rules === rules && isDeepStrictEqual(present, before.shown)) return;
    this.applied.delete(command.id);
    await this.runner.run('nft', ['-f', '-'], { input: rules });
    this.applied.set(command.id, { rules: rules.slice(0, rules.length - stale.length), shown: await this.shownTables(command) });
  }

  private requireOurs(command: EnsureNetworkCommand, tables: readonly string[]): void {
    const foreign = tables.findIndex((text) => text !== '' && !text.includes(tableComment(command)));
    if (foreign < 0) return;
    const table = `${FAMILIES[foreign]} ${tableName(command)}`;
    throw new ApiError('network.place_taken', {
      detail: `The nftables table ${table} is there already and is not ours.`,
      remedy: `If nothing needs it, remove it: nft delete table ${table}.`,
    });
  }

  async remove(network: EnsureNetworkCommand): Promise<void> {
    for (const [index, text] of (await this.shownTables(network)).entries()) {
      const family = FAMILIES[index] ?? 'inet';
      if (text.includes(tableComment(network))) await this.runner.run('nft', ['delete', 'table', family, tableName(network)]);
    }
    this.applied.delete(network.id);
  }

  private shownTables(network: EnsureNetworkCommand): Promise<string[]> {
    return Promise.all(FAMILIES.map((family) => this.shownTable(network, family)));
  }

  /** A table of a network as the host has it, without counts: nft words rules in a way of its own. Empty when there is none. */
  private async shownTable(network: EnsureNetworkCommand, family: (typeof FAMILIES)[number]): Promise<string> {
    const { status, stdout } = await this.runner.run('nft', ['-s', 'list', 'table', family, tableName(network)], { accept: [1] });
    return status === 0 ? stdout : '';
  }
}
