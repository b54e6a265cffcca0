// SPDX-License-Identifier: Apache-2.0
// Mocha's `spec` output, and the totals as JSON in the file that FLOTILLA_TEST_TOTALS names, with each failed test and why.
'use strict';

const { appendFileSync } = require('node:fs');
const { reporters, Runner } = require('mocha');

module.exports = class TotalsReporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const file = process.env.FLOTILLA_TEST_TOTALS;
    if (file === undefined) return;
    const failed = [];
    runner.on(Runner.constants.EVENT_TEST_FAIL, (test, error) => failed.push(`${test.fullTitle()}: ${error?.message ?? error}`));
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats;
      appendFileSync(file, `${JSON.stringify({ passed: passes, failed: failures, skipped: pending, failures: failed })}\n`);
    });
  }
};
