// SPDX-License-Identifier: Apache-2.0
const assert = require('node:assert/strict');
const { Flotilla, NotFoundError } = require('@flotilla/sdk');

async function main() {
  const flotilla = new Flotilla();
  const hosts = await flotilla.hosts.list();
  assert.equal(hosts.items.length, 1);
  await assert.rejects(flotilla.images.get('nothing'), NotFoundError);
}

main();
