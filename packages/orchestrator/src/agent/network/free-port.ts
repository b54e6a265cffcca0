// SPDX-License-Identifier: Apache-2.0
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { ApiError } from '../../common/api-error.js';
import { systemCode } from '../../common/system-code.js';
import type { PortCommand } from '../../host-agent/host-agent.js';

/**
 * Fails when a program of the host listens at a port: it would hear nothing there any more. It is tried, and given back at once. What cannot
 * be tried, such as a low port without privileges, is not known.
 */
export async function requireFreePort({ protocol, hostAddress = '0.0.0.0', hostPort }: PortCommand): Promise<void> {
  try {
    await (protocol === 'tcp' ? tryTcp : tryUdp)(hostAddress, hostPort);
  } catch (error) {
    if (systemCode(error) === 'EADDRINUSE') {
      throw new ApiError('forward.port_busy', {
        detail: `A program of the host listens at ${protocol} port ${hostPort}.`,
        remedy: 'Forward another port, or end that program (`ss -lntup` shows it).',
        field: 'hostPort',
      });
    }
    if (systemCode(error) === 'EADDRNOTAVAIL') {
      throw new ApiError('forward.address_unknown', {
        detail: `The host has not the address ${hostAddress}.`,
        remedy: 'Give an address that the host has, or none for all of them.',
        field: 'hostAddress',
      });
    }
  }
}

function tryTcp(host: string, port: number): Promise<void> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once('error', reject).listen({ host, port, exclusive: true }, () => server.close(() => resolve()));
  });
}

function tryUdp(address: string, port: number): Promise<void> {
  const socket = createSocket('udp4');
  return new Promise((resolve, reject) => {
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind({ address, port, exclusive: true }, () => socket.close(() => resolve()));
  });
}
