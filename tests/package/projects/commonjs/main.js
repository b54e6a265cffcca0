// SPDX-License-Identifier: Apache-2.0
const assert = require('node:assert/strict');
const { Flotilla, NotFoundError } = require('@flotilla/sdk');

async function main() {
  const flotilla = new Flotilla();
  const hosts = await flotilla.hosts.list();
  assert.equal(hosts.items.length, 1);
  await assert.rejects(flotilla.images.get('nothing'), NotFoundError);

  const events = await flotilla.events({ kinds: ['machine.deleted'] }).opened();
  const machine = await flotilla.machines.create({ name: 'commonjs', cpus: 1, memoryMiB: 64, boot: { kernel: 'kernel' } });
  assert.equal(machine.state, 'running');
  const terminal = await machine.console();
  await terminal.expect('# ');
  await terminal.write('uname -a\n');
  assert.match(await terminal.expect(/GNU\/Linux/), /Linux fake/);
  terminal.close();
  await machine.delete({ force: true });
  for await (const { target } of events) {
    assert.equal(target.name, 'commonjs');
    break;
  }
}

main();
