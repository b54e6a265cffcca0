// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { pino } from 'pino';
import type { HostAgent, HostEvent } from './host-agent.js';
import { serveHostAgent } from './socket-server.js';

describe('Events of the agent', () => {
  const directory = mkdtempSync(join(tmpdir(), 'flotilla-events-'));
  const path = join(directory, 'socket');
  let listener: (event: HostEvent) => void = () => undefined;
  let left: AbortSignal | undefined;
  let server: { close(): Promise<void> };

  before(async () => {
    const agent = {
      watch: (given: typeof listener, signal: AbortSignal) => {
        [listener, left] = [given, signal];
      },
    } as unknown as HostAgent;
    server = await serveHostAgent(agent, { path, group: undefined, log: pino({ level: 'silent' }) });
  });
  after(async () => {
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  });

  /** Connects, and takes the first line when told to read. */
  const connect = () =>
    new Promise<() => void>((resolve, reject) => {
      const sent = request({ socketPath: path, path: '/events' }, (response) => {
        response.on('error', () => undefined);
        resolve(() => sent.destroy());
      });
      sent.on('error', reject).end();
    });
  const eventually = async (what: string, holds: () => boolean) => {
    for (const deadline = Date.now() + 5000; !holds(); await new Promise((resolve) => setTimeout(resolve, 5)))
      if (Date.now() > deadline) throw new Error(`Waited in vain: ${what}`);
  };

  it('are told until the client leaves', async () => {
    const leave = await connect();
    expect(left?.aborted).to.equal(false);
    leave();
    await eventually('the listener is let go', () => left?.aborted === true);
  });

  it('do not pile up for a client that takes none: it is let go', async () => {
    const leave = await connect();
    const detail = 'x'.repeat(1000);
    const event: HostEvent = { kind: 'machine', machine: { id: 'm', state: 'stopped', exit: { reason: 'error', detail } } };
    let told = 0;
    for (; told < 100_000 && left?.aborted === false; told += 1) {
      listener(event);
      if (told % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(left?.aborted).to.equal(true);
    expect(told).to.be.below(10_000);
    leave();
  });
});
