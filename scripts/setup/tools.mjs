// SPDX-License-Identifier: Apache-2.0
// Tools that are no Debian package. A test that needs one and finds it missing is skipped, so none of them is worth a
// failed setup.

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { cacheDirectory } from '../lib/cache.mjs';

const FOLDER = join(cacheDirectory(), 'tools', 'bin');

/** @typedef {{ name: string, purposes: readonly string[], module: string }} Tool */

/** @type {readonly Tool[]} built by `go install` */
const TOOLS = [{ name: 'actionlint', purposes: ['check', 'test'], module: 'github.com/rhysd/actionlint/cmd/actionlint@v1.7.12' }];

/** Where the setup puts `name`. */
export function toolPath(name) {
  return join(FOLDER, name);
}

/** Tools that `purposes` want and that are neither in our folder nor on the PATH. */
export function missingTools(purposes, isThere = isInstalled) {
  return TOOLS.filter((tool) => tool.purposes.some((purpose) => purposes.includes(purpose)) && !isThere(tool.name));
}

/** One line for each tool: how it will come here, or why it will not. */
export function describeTools(tools, hasGo) {
  return tools.map(({ name, module }) =>
    hasGo ? `install ${name} (go install ${module})` : `do without ${name}, which needs Go to install: its tests are skipped`,
  );
}

export function hasGo() {
  return isOnPath('go');
}

/** Installs them; one that does not come is said and passed over. */
export async function installTools(steps, tools) {
  for (const { name, module } of tools) {
    await steps.step(`Install ${name}`, async (step) => {
      try {
        await step.run('go', ['install', module], { env: { ...process.env, GOBIN: FOLDER } });
      } catch (error) {
        steps.output.write(`  ${name} could not be installed, its tests are skipped: ${error.message}; see ${steps.logFile}\n`);
      }
    });
  }
}

function isInstalled(name) {
  return existsSync(toolPath(name)) || isOnPath(name);
}

function isOnPath(name) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, name)));
}
