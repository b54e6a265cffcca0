// SPDX-License-Identifier: Apache-2.0
/** How mocha is called, from the top folder: without npx, which takes longer in a lab than many a test. */
export const MOCHA = ['node', 'node_modules/mocha/bin/mocha.js', '--reporter', 'tests/runner/mocha-reporter.cjs'];
