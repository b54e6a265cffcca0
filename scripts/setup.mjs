// SPDX-License-Identifier: Apache-2.0
// `npm run setup`: installs and builds what development and tests need. `npm run setup -- build run` limits it to these
// purposes (the keys of setup/packages.json); with --plan it says what it would do and does nothing.

import { Failure, runMain } from './lib/failure.mjs';
import { Steps } from './lib/steps.mjs';
import { carryOut, describeHost, describePlan, planSetup } from './setup/index.mjs';
import { PURPOSES } from './setup/system-packages.mjs';

await runMain('setup', async () => {
  const words = process.argv.slice(2);
  const purposes = words.filter((word) => word !== '--plan');
  const unknown = purposes.find((purpose) => !PURPOSES.includes(purpose));
  if (unknown !== undefined) throw new Failure(`Nothing is known about ${unknown}`, `Known purposes: ${PURPOSES.join(', ')}`);
  const plan = planSetup(purposes.length > 0 ? purposes : PURPOSES);
  const lines = describePlan(plan);
  process.stderr.write(`Host: ${describeHost(plan.host)}\n`);
  if (!plan.host.debian12) process.stderr.write('This is not Debian 12: packages may have other names here.\n');
  process.stderr.write(lines.length > 0 ? lines.map((line) => `Will ${line}\n`).join('') : 'Nothing to do.\n');
  if (purposes.length < words.length) return;
  const steps = new Steps('setup');
  await carryOut(plan, steps);
  if (steps.durations.length > 0) process.stderr.write(steps.table());
});
