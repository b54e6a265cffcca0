// SPDX-License-Identifier: Apache-2.0
// What the tests need before the first of them: the same set-up that the quickstart does, for every purpose.
import { Steps } from '../../scripts/lib/steps.mjs';
import { carryOut, describePlan, planSetup } from '../../scripts/setup/index.mjs';
import { PURPOSES } from '../../scripts/setup/system-packages.mjs';

/**
 * Installs and builds what is missing; quick when nothing is.
 * @param {{ packagesAreThere?: () => void }} [hooks]
 */
export async function prepare(hooks) {
  const plan = planSetup(PURPOSES);
  for (const line of describePlan(plan)) console.log(`Will ${line}`);
  await carryOut(plan, new Steps('setup'), hooks);
}
