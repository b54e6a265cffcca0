// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from 'node:url';

/** The top folder of the repository. */
export const top = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
