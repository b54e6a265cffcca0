#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Runs the tiers of the test suite and ends with their totals. See tests/README.md.
import { main } from './runner/main.mjs';
import { tiers } from './runner/tiers.mjs';

process.exitCode = await main(tiers, process.argv.slice(2));
