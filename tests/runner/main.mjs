// SPDX-License-Identifier: Apache-2.0
// The program behind `npm test`: reads its arguments, runs tiers, ends with their totals.
import { parseArgs } from 'node:util';

import { prepare } from './prepare.mjs';
import { runTier } from './run-tier.mjs';
import { formatTable, formatTotals, sum } from './totals.mjs';

/**
 * Gives the exit status: 0 all is well, 1 something failed, 2 wrong use.
 * @param {Array<import('./tiers.mjs').Tier>} tiers
 * @param {string[]} args
 */
export async function main(tiers, args) {
  const { values } = parseArgs({
    args,
    options: {
      tier: { type: 'string', multiple: true, default: [] },
      'no-setup': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return help(tiers);
  const wanted = values.tier.flatMap((names) => names.split(','));
  const unknown = wanted.filter((name) => !tiers.some((tier) => tier.name === name));
  if (unknown.length > 0) {
    console.error(`Unknown tier ${unknown.join(', ')}: choose from ${tiers.map((tier) => tier.name).join(', ')}.`);
    return 2;
  }
  const started = performance.now();
  if (!values['no-setup']) await prepare();
  const setUpSeconds = secondsSince(started);
  const results = [];
  for (const tier of tiers.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    results.push(await runTier(tier));
  }
  return conclude(results, { setUpSeconds, totalSeconds: secondsSince(started) });
}

function secondsSince(start) {
  return (performance.now() - start) / 1000;
}

function help(tiers) {
  console.log(`npm test [-- --tier NAME[,NAME...]] [--no-setup]\n\nTiers:`);
  for (const tier of tiers) console.log(`  ${tier.name.padEnd(8)} ${tier.what}`);
  return 0;
}

/** Prints the totals, the line that machines read last. */
function conclude(results, times) {
  console.log(`\n${formatTable(results, times)}\n`);
  const totals = sum(results);
  const empty = results.filter((result) => result.passed + result.failed === 0);
  for (const result of empty) console.error(`Tier ${result.name} ran no test: ${result.note ?? 'see its output above'}.`);
  console.log(formatTotals(totals));
  return totals.failed > 0 || results.some((result) => result.broken) || (strict() && empty.length > 0) ? 1 : 0;
}

/** With REQUIRE_KVM=1 a tier that ran nothing is a failure. */
function strict() {
  return process.env.REQUIRE_KVM === '1';
}
