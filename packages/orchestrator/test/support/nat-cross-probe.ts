// SPDX-License-Identifier: Apache-2.0
// Runs in network and process namespaces of its own: a guest and the world outside, each a network namespace, with a NAT network
// between them. Tells as JSON what got through: the address that a server saw, `timeout`, or the code of an error.
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { NatNetwork } from '../../src/agent/network/nat/nat-network.js';
import { CommandRunner } from '../../src/agent/runner/command-runner.js';
import { Namespace, until } from './namespace.js';
import { command, MAC } from './probe-network.js';

const PORT = 8080;
const METADATA = '169.254.169.254';
const directory = mkdtempSync(join(tmpdir(), 'flotilla-cross-'));
const runner = new CommandRunner(pino({ level: 'silent' }));
const guest = await Namespace.make(runner);
const outside = await Namespace.make(runner);
const native = {
  createTap: async ({ name }: { name: string }) => {
    await runner.run('ip', ['link', 'add', name, 'type', 'veth', 'peer', 'name', 'eth0', 'address', MAC, 'netns', String(guest.pid)]);
  },
  deleteTap: () => Promise.resolve(),
};
const network = new NatNetwork(runner, { stateDirectory: join(directory, 'state'), runtimeDirectory: join(directory, 'run'), native });

await network.ensureNetwork(command);
await network.attach('mac-probe', { name: 'eth0', networkId: command.id, bridge: 'flo-0', mac: MAC, ip: '10.77.0.2' });
await configure(guest, 'eth0', '10.77.0.2/24');
await guest.run('ip', 'route', 'add', 'default', 'via', '10.77.0.1');
await runner.run('ip', ['link', 'add', 'out', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(outside.pid)]);
await runner.run('ip', ['address', 'add', '192.0.2.1/24', 'dev', 'out']);
await runner.run('ip', ['link', 'set', 'out', 'up']);
await configure(outside, 'eth0', '192.0.2.2/24'); // and no way back to the network of the guest
await configure(outside, 'lo', `${METADATA}/32`);
await runner.run('ip', ['route', 'add', METADATA, 'via', '192.0.2.2']);

/** Tells who connected to it. */
const SERVER = `require('node:net').createServer((socket) => socket.on('error', () => {}).end(socket.remoteAddress)).listen(${PORT}, '0.0.0.0', () => console.log('ready'))`;
const servers = [guest, outside].map((place) => place.spawn(process.execPath, '-e', SERVER));
await Promise.all(servers.map((server) => new Promise((resolve) => server.stdout?.once('data', resolve))));
const own = createServer((socket) => socket.on('error', () => undefined).end(socket.remoteAddress ?? '')).listen(PORT, '0.0.0.0');

const outward = {
  ping: await from(guest, 'busybox', 'ping', '-c', '1', '-W', '5', '192.0.2.2').then(
    () => 'answered',
    () => 'lost',
  ),
  tcp: await call(guest, '192.0.2.2'),
};
const host = {
  ping: await from(guest, 'busybox', 'ping', '-c', '1', '-W', '5', '10.77.0.1').then(
    () => 'answered',
    () => 'lost',
  ),
  gateway: await call(guest, '10.77.0.1'),
  otherAddress: await call(guest, '192.0.2.1'),
  fromOutside: await call(outside, '192.0.2.1'),
};
const metadata = { fromHost: await reach(METADATA), fromGuest: await call(guest, METADATA) };
await outside.run('ip', 'route', 'add', '10.77.0.0/24', 'via', '192.0.2.1'); // who knows the way is not let in either
const inbound = { fromHost: await reach('10.77.0.2'), fromOutside: await call(outside, '10.77.0.2') };

own.close();
for (const server of servers) server.kill('SIGKILL');
await network.removeNetwork(command.id);
await network.close();
await Promise.all([guest.end(), outside.end()]);
process.stdout.write(JSON.stringify({ outward, host, metadata, inbound }));
rmSync(directory, { recursive: true, force: true });

async function configure(place: Namespace, link: string, address: string): Promise<void> {
  await place.run('ip', 'link', 'set', link, 'up');
  await place.run('ip', 'address', 'add', address, 'dev', link);
}

/** A link that has just come up drops frames for a moment: tries until the first gets through, or for good. */
async function from(place: Namespace, ...words: string[]): Promise<string> {
  let output = '';
  await until(() =>
    place.run(...words).then(
      (text) => {
        output = text;
        return true;
      },
      () => false,
    ),
  );
  return output;
}

/** Connects from a namespace. */
async function call(place: Namespace, address: string): Promise<string> {
  const program = `(${reach.toString()})(${JSON.stringify(address)}, ${PORT}, require('node:net').connect).then((text) => process.stdout.write(text))`;
  return place.run(process.execPath, '-e', program);
}

/** Connects and reads to the end. Must stand by itself: its text is run in other places too. */
function reach(address: string, port = PORT, dial = connect): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = dial({ host: address, port });
    socket.setTimeout(700, () => {
      resolve('timeout');
      socket.destroy();
    });
    socket.on('data', (data: Buffer) => {
      text += data.toString();
    });
    socket.on('end', () => resolve(text.replace('::ffff:', '')));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
  });
}
