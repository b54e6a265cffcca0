// SPDX-License-Identifier: Apache-2.0
// A link of the host with a default route, as passt wants one: from it come the address and the gateway of its guests.
import { connect } from 'node:net';
import { eventually, liveProcesses, run } from './host.js';
import { waitLimitMs } from './limits.js';

const link = 'world0';
/** From TEST-NET-2 (RFC 5737), which no network has. */
export const uplink = { address: '198.51.100.2', gateway: '198.51.100.1' } as const;

export function addUplink(): void {
  run('ip', ['link', 'add', link, 'type', 'dummy']);
  run('ip', ['address', 'add', `${uplink.address}/24`, 'dev', link]);
  run('ip', ['link', 'set', link, 'up']);
  run('ip', ['route', 'add', 'default', 'via', uplink.gateway, 'dev', link]);
}

export function removeUplink(): void {
  run('ip', ['link', 'delete', link]);
}

/** The id of the live passt process that has this argument, `address/port:port`. */
export function passtOf(forward: string): number | undefined {
  return liveProcesses().find(({ command }) => command.split(' ').includes(forward))?.pid;
}

/** What is said at a port of this host's loopback; tried again until somebody says something. */
export async function saidAt(port: number): Promise<string> {
  let said = '';
  await eventually(`somebody speaks at port ${port}`, waitLimitMs, async () => {
    said = await read(port);
    return said !== '';
  });
  return said;
}

/**
 * passt takes a connection before it knows whether its guest does: nothing is said then. And that of Debian 12 tells the guest that the
 * connection stands only when its other end says something.
 */
function read(port: number): Promise<string> {
  return new Promise((resolve) => {
    let said = '';
    const socket = connect(port, '127.0.0.1', () => socket.write('hello\n'));
    socket.setTimeout(10_000, () => socket.destroy());
    socket.on('data', (data: Buffer) => (said += data.toString())).on('error', () => undefined);
    socket.on('close', () => {
      resolve(said);
    });
  });
}
