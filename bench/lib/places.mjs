// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from 'node:url';

/** The top folder of the repository. */
export const top = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

/** The worker, as `npm run build:rust` leaves it. */
export const worker = `${top}/target/x86_64-unknown-linux-gnu/release/flotilla-vmm`;
