#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// npm run gen: writes every generated file anew.
import { spawnSync } from 'node:child_process';

import { generators } from './generators.mjs';

for (const { name, argv, env } of generators) {
  console.log(`generating ${name}`);
  const [program, ...args] = argv;
  const { status } = spawnSync(program, args, { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...env } });
  if (status !== 0) process.exit(status ?? 1);
}
