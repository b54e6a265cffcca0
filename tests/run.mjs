#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Runs the tiers of the test suite and ends with their totals. See tests/README.md.
import { parseArgs } from 'node:util';

import { prepare } from './runner/prepare.mjs';
import { runTier } from './runner/run-tier.mjs';
import { tiers } from './runner/tiers.mjs';
import { formatTable, formatTotals, sum } from './runner/totals.mjs';

const { values } = parseArgs({
  options: {
    tier: { type: 'string', multiple: true, default: [] },
    'no-setup': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(`npm test [-- --tier NAME[,NAME...]] [--no-setup]\n\nTiers:`);
  for (const tier of tiers) console.log(`  ${tier.name.padEnd(8)} ${tier.what}`);
  process.exit(0);
}

const wanted = values.tier.flatMap((names) => names.split(','));
const unknown = wanted.filter((name) => !tiers.some((tier) => tier.name === name));
if (unknown.length > 0) {
  console.error(`Unknown tier ${unknown.join(', ')}: choose from ${tiers.map((tier) => tier.name).join(', ')}.`);
  process.exit(2);
}

if (!values['no-setup']) await prepare();

const results = [];
for (const tier of tiers.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  results.push(await runTier(tier));
}

console.log(`\n${formatTable(results)}\n`);
const totals = sum(results);
const empty = results.filter((result) => result.passed + result.failed === 0);
for (const result of empty) console.error(`Tier ${result.name} ran no test: ${result.note ?? 'see its output above'}.`);
console.log(formatTotals(totals));
process.exitCode = totals.failed > 0 || results.some((result) => result.broken) || (strict() && empty.length > 0) ? 1 : 0;

/** With REQUIRE_KVM=1 a tier that ran nothing is a failure. */
function strict() {
  return process.env.REQUIRE_KVM === '1';
}
