// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { Flotilla, NotFoundError } from '@flotilla/sdk';

const flotilla = new Flotilla();
assert.deepEqual(await flotilla.machines.list().all(), []);
await assert.rejects(flotilla.machines.get('nobody'), NotFoundError);
