// SPDX-License-Identifier: Apache-2.0
// `node guest/build.mjs [kernel] [initramfs] [io] [debian]`: builds what is named (all by default) and prints, as JSON, where
// it is. A second run only prints.

import { Failure, runMain } from '../scripts/lib/failure.mjs';
import { Steps } from '../scripts/lib/steps.mjs';
import { buildDebian } from './debian/build.mjs';
import { buildInitramfs } from './initramfs/build.mjs';
import { buildIo } from './io/build.mjs';
import { buildKernel } from './kernel/build.mjs';

const BUILDERS = { kernel: buildKernel, initramfs: buildInitramfs, io: buildIo, debian: buildDebian };

await runMain('guest', async () => {
  const names = process.argv.slice(2);
  const unknown = names.find((name) => !(name in BUILDERS));
  if (unknown !== undefined) throw new Failure(`There is no image ${unknown}`, `Known: ${Object.keys(BUILDERS).join(', ')}`);
  const steps = new Steps('guest');
  const result = {};
  for (const name of names.length > 0 ? names : Object.keys(BUILDERS)) result[name] = await BUILDERS[name](steps);
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
});
