// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { AbortedError, ConnectionError, NotFoundError } from '../core/errors.js';
import { Transport } from './transport.js';

const answers = (...responses: Array<Response | Error>) => {
  const requests: Request[] = [];
  const fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    requests.push(new Request(input, init));
    const next = responses.shift();
    if (next === undefined) throw new Error('no more answers');
    if (next instanceof Error) throw next;
    return next;
  };
  return {
    requests,
    transport: new Transport({ baseUrl: 'http://flotilla.test', apiKey: 'flo_k', fetch: fetch as typeof globalThis.fetch }),
  };
};

const rejection = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => expect.fail('it resolved'),
    (error: unknown) => error,
  );

describe('Transport', () => {
  it('repeats a request that got no answer, under the same idempotency key', async () => {
    const { requests, transport } = answers(new TypeError('connection reset'), Response.json({ ok: true }));
    expect(await transport.json({ method: 'POST', path: '/v1/x', json: {} })).to.deep.equal({ ok: true });
    const keys = requests.map(({ headers }) => headers.get('idempotency-key'));
    expect(keys).to.have.length(2);
    expect(keys[0]).to.be.a('string').and.equal(keys[1]);
  });

  for (const method of ['POST', 'PATCH', 'DELETE'] as const) {
    it(`repeats ${method} under its key also while the first request goes on, and without a body`, async () => {
      const later = Response.json(
        { status: 409, code: 'idempotency.in_flight' },
        { status: 409, headers: { 'content-type': 'application/problem+json', 'retry-after': '0.01' } },
      );
      const { requests, transport } = answers(new TypeError('connection reset'), later, new Response(null, { status: 204 }));
      await transport.send({ method, path: '/v1/x' });
      const keys = requests.map(({ headers }) => headers.get('idempotency-key'));
      expect(new Set(keys)).to.have.property('size', 1);
      expect(keys).to.have.length(3).and.not.to.include(null);
    });
  }

  it('never repeats an upload, which carries no key', async () => {
    const { requests, transport } = answers(new TypeError('connection reset'), Response.json({}));
    const error = await rejection(transport.send({ method: 'PUT', path: '/v1/x', body: new Uint8Array(1) }));
    expect(error).to.be.instanceOf(ConnectionError);
    expect(requests.map(({ headers }) => headers.get('idempotency-key'))).to.deep.equal([null]);
  });

  it('makes a problem document an error of its class, with code, field and remedy', async () => {
    const problem = { status: 404, code: 'machine.not_found', detail: 'No machine web', remedy: 'List them' };
    const { transport } = answers(Response.json(problem, { status: 404, headers: { 'x-request-id': 'r1' } }));
    const error = (await rejection(transport.json({ method: 'GET', path: '/v1/machines/web' }))) as NotFoundError;
    expect(error).to.be.instanceOf(NotFoundError);
    expect([error.code, error.requestId, error.remedy]).to.deep.equal(['machine.not_found', 'r1', 'List them']);
  });

  it('does not repeat what the orchestrator itself refused', async () => {
    const refused = Response.json(
      { status: 503, code: 'host.kvm_missing' },
      { status: 503, headers: { 'content-type': 'application/problem+json' } },
    );
    const { requests, transport } = answers(refused);
    await rejection(transport.json({ method: 'GET', path: '/v1/x' }));
    expect(requests).to.have.length(1);
  });

  it('says that nobody is there', async () => {
    const { transport } = answers(new TypeError('a'), new TypeError('b'), new TypeError('c'));
    const error = (await rejection(transport.json({ method: 'GET', path: '/' }))) as ConnectionError;
    expect(error).to.be.instanceOf(ConnectionError);
    expect(error.remedy).to.contain('flotilla up');
  });

  it('ends at once when its signal has fired', async () => {
    const { transport } = answers(new TypeError('a'));
    const error = await rejection(transport.json({ method: 'GET', path: '/' }, { signal: AbortSignal.abort() }));
    expect(error).to.be.instanceOf(AbortedError);
  });
});
