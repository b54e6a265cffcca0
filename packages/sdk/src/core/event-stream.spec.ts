// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { Transport } from '../internal/transport.js';
import { EventStream } from './event-stream.js';

describe('EventStream', () => {
  /** Follows connections that each say this and end; answers the ids of the events, and the places they were asked for from. */
  async function follow(...connections: string[]): Promise<{ seen: number[]; asked: (string | null)[] }> {
    const asked: (string | null)[] = [];
    const fetch = (_input: unknown, init?: RequestInit): Promise<Response> => {
      asked.push(new Headers(init?.headers).get('last-event-id'));
      const text = connections.shift();
      return text === undefined
        ? Promise.resolve(Response.json({ code: 'events.too_old' }, { status: 410 }))
        : Promise.resolve(new Response(text, { headers: { 'content-type': 'text/event-stream' } }));
    };
    const transport = new Transport({ baseUrl: 'http://flotilla.test', apiKey: 'flo_k', fetch: fetch as typeof globalThis.fetch });
    const seen: number[] = [];
    try {
      for await (const { id } of new EventStream<{ id: number }>(transport, {}, {})) seen.push(id);
    } catch {
      // the last connection is refused
    }
    return { seen, asked };
  }

  it('goes on where the stream began when it broke before the first event', async () => {
    expect(await follow(': connected\nid: 7\n\n', ': connected\nid: 7\n\n')).to.deep.equal({ seen: [], asked: [null, '7', '7'] });
  });

  it('goes on after the last event seen, or after those that were not wanted', async () => {
    const event = 'id: 8\nevent: machine.state\ndata: {"id":8}\n\n';
    expect(await follow(`id: 7\n\n${event}`, ': heartbeat\nid: 30\n\n')).to.deep.equal({ seen: [8], asked: [null, '8', '30'] });
  });
});
