// SPDX-License-Identifier: Apache-2.0
// The program behind `npm test`: reads its arguments, runs tiers, ends with their totals.
import { parseArgs } from 'node:util';

import { beginGuestImages } from './guest-images.mjs';
import { prepare } from './prepare.mjs';
import { runTier } from './run-tier.mjs';
import { formatFailures, formatTable, formatTotals, secondsSince, sum } from './totals.mjs';

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
  const chosen = tiers.filter(({ name }) => wanted.length === 0 || wanted.includes(name));
  if (!values['no-setup']) await prepare({ packagesAreThere: () => chosen.some((tier) => tier.name === 'guest') && beginGuestImages() });
  const setUpSeconds = secondsSince(started);
  const results = [];
  for (const tier of chosen) results.push(await runTier(tier));
  return conclude(results, { setUpSeconds, totalSeconds: secondsSince(started) });
}

function help(tiers) {
  console.log(`npm test [-- --tier NAME[,NAME...]] [--no-setup]\n\nTiers:`);
  for (const tier of tiers) console.log(`  ${tier.name.padEnd(8)} ${tier.what}`);
  return 0;
}

/** Prints what failed and the totals, the line that machines read last. */
function conclude(results, times) {
  const failures = formatFailures(results);
  if (failures !== '') console.log(`\n${failures}`);
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
