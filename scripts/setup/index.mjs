// SPDX-License-Identifier: Apache-2.0
// From a fresh clone to a built tree. Everything here runs before `npm install`, so it uses nothing but Node.

import { Failure } from '../lib/failure.mjs';
import { giveTracesOfNpm, requireOwn } from '../lib/user.mjs';
import { describeHost, inspectHost, requireTools } from './host.mjs';
import { installCommand, installPackages, missingPackages } from './system-packages.mjs';
import { describeTools, hasGo, installTools, missingTools } from './tools.mjs';
import { build, builtPaths, dependenciesAreInstalled, installDependencies, isBuilt } from './workspace.mjs';

/**
 * @typedef {object} Plan
 * @property {import('./host.mjs').Host} host
 * @property {readonly string[]} missing Debian packages
 * @property {readonly import('./tools.mjs').Tool[]} tools that are no Debian package
 * @property {boolean} go whether Go is there to install them
 * @property {boolean} dependencies whether npm packages must be installed
 * @property {boolean} build whether something must be built
 */

/**
 * Looks, changes nothing.
 * @param {readonly import('./system-packages.mjs').Purpose[]} purposes
 * @returns {Plan}
 */
export function planSetup(purposes, host = inspectHost()) {
  requireTools(host);
  const dependencies = !dependenciesAreInstalled();
  const missing = missingPackages(purposes);
  const tools = missingTools(purposes);
  return { host, missing, tools, go: hasGo(), dependencies, build: dependencies || !isBuilt() };
}

/** What `carryOut` will do, a line for each thing. */
export function describePlan(plan) {
  const lines = [];
  if (plan.missing.length > 0) lines.push(`install Debian packages: ${plan.missing.join(' ')}`);
  lines.push(...describeTools(plan.tools, plan.go));
  if (plan.dependencies) lines.push('install npm packages');
  if (plan.build) lines.push('build the Rust core and the TypeScript packages');
  return lines;
}

/**
 * @param {Plan} plan
 * @param {import('../lib/steps.mjs').Steps} steps
 * @param {{ packagesAreThere?: () => void }} [hooks] called when there is all that Debian's packages give
 */
export async function carryOut(plan, steps, { packagesAreThere } = {}) {
  giveTracesOfNpm();
  if (plan.dependencies || plan.build) requireOwn(builtPaths());
  if (plan.missing.length > 0) {
    if (!plan.host.root) throw new Failure('Debian packages are missing', installCommand(plan.missing));
    await installPackages(steps, plan.missing);
  }
  packagesAreThere?.();
  if (plan.go) await installTools(steps, plan.tools);
  if (plan.dependencies) await installDependencies(steps);
  if (plan.build) await build(steps);
}

export { describeHost, inspectHost };
