// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import fc from 'fast-check';
import { type Answer, machine, Orchestrator } from '../support/orchestrator.js';

const DOCUMENT = join(dirname(fileURLToPath(import.meta.url)), '../../../../../openapi/flotilla.v1.json');

describe('bad input', () => {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator().start({ FLOTILLA_MEMORY_OVERCOMMIT: 'refuse' });
    await flotilla.importImages();
  });

  after(() => flotilla.dispose());

  const half = { memoryMiB: 32 };
  const refused: [what: string, change: Record<string, unknown>, status: number, code: string, field: string][] = [
    ['a missing kernel', { boot: { kernel: 'nothing' } }, 422, 'image.not_found', 'boot.kernel'],
    ['a disk as a kernel', { boot: { kernel: 'd' } }, 422, 'image.wrong_kind', 'boot.kernel'],
    ['an absent disk', { disks: [{ name: 'root', image: 'nothing' }] }, 422, 'image.not_found', 'disks[0].image'],
    ['an absent volume', { disks: [{ name: 'root', volume: 'vol-none' }] }, 422, 'volume.not_found', 'disks[0].volume'],
    ['no memory', { memoryMiB: 0 }, 422, 'spec.memory_too_small', 'memoryMiB'],
    ['more memory than the host has', { memoryMiB: 60 * 1024 * 1024 }, 422, 'spec.memory_too_large', 'memoryMiB'],
    ['memory beside the alignment', { memoryMiB: 129 }, 422, 'spec.memory_unaligned', 'memoryMiB'],
    ['a part of a MiB', { memoryMiB: 128.5 }, 422, 'spec.memory_unaligned', 'memoryMiB'],
    ['no CPU', { cpus: 0 }, 422, 'spec.cpus_out_of_range', 'cpus'],
    ['a thousand CPUs', { cpus: 1000 }, 422, 'spec.cpus_out_of_range', 'cpus'],
    ['sockets, cores and threads that are other CPUs', { cpu: { topology: { cores: 3 } } }, 422, 'spec.cpu_topology', 'cpu.topology'],
    ['a feature that has no name', { cpu: { enable: ['AES NI'] } }, 422, 'spec.cpu_feature', 'cpu.enable'],
    ['an unknown CPU model', { cpu: { model: 'pentium' } }, 422, 'request.invalid_value', 'cpu.model'],
    ['pinning for more CPUs', { cpu: { pin: { vcpus: [[0], [0]] } } }, 422, 'spec.pin_invalid', 'cpu.pin.vcpus'],
    ['a CPU that no host has', { cpu: { pin: { io: [1024] } } }, 422, 'spec.pin_invalid', 'cpu.pin.io'],
    [
      'transparent pages of the pool',
      { memoryOptions: { backing: 'hugetlb-2M', transparentHugepages: 'always' } },
      422,
      'spec.memory_conflict',
      'memoryOptions.transparentHugepages',
    ],
    ['locked memory that is merged', { memoryOptions: { mergeable: true, lock: true } }, 422, 'spec.memory_conflict', 'memoryOptions.lock'],
    ['a balloon as large as the memory', { memoryMiB: 128, balloon: { targetMiB: 113 } }, 422, 'spec.balloon_invalid', 'balloon.targetMiB'],
    ['a balloon of less than nothing', { balloon: { targetMiB: -1 } }, 422, 'spec.balloon_invalid', 'balloon.targetMiB'],
    ['a balloon of locked memory', { memoryOptions: { lock: true }, balloon: {} }, 422, 'spec.memory_conflict', 'balloon'],
    [
      'reports of memory that is committed',
      { memoryOptions: { prefault: true }, balloon: { freePageReporting: true } },
      422,
      'spec.memory_conflict',
      'balloon.freePageReporting',
    ],
    ['a part of a huge page', { memoryOptions: { backing: 'hugetlb-1G' } }, 422, 'spec.memory_unaligned', 'memoryMiB'],
    ['a node that lacks memory', { numa: [{ cpus: [0], ...half }] }, 422, 'spec.numa_invalid', 'numa'],
    [
      'a CPU in two nodes',
      {
        numa: [
          { cpus: [0], ...half },
          { cpus: [0], ...half },
        ],
      },
      422,
      'spec.numa_invalid',
      'numa',
    ],
    [
      'a distance that no table can hold',
      { numa: [{ cpus: [0], memoryMiB: 64, distances: [0] }] },
      422,
      'spec.numa_invalid',
      'numa[0].distances',
    ],
    ['a node far from itself', { numa: [{ cpus: [0], memoryMiB: 64, distances: [20] }] }, 422, 'spec.numa_invalid', 'numa[0].distances'],
    [
      'distances to nodes that there are not',
      { numa: [{ cpus: [0], memoryMiB: 64, distances: [10, 20] }] },
      422,
      'spec.numa_invalid',
      'numa[0].distances',
    ],
    [
      'a part of a huge page in a node',
      {
        numa: [
          { cpus: [0], memoryMiB: 33 },
          { cpus: [], memoryMiB: 31 },
        ],
        memoryOptions: { backing: 'hugetlb-2M' },
      },
      422,
      'spec.numa_invalid',
      'numa[0].memoryMiB',
    ],
    ['blocks that no disk has', { disks: [{ name: 'a', sizeMiB: 1, blockSize: 1024 }] }, 422, 'spec.disk_invalid', 'disks[0].blockSize'],
    ['a feature on and off at once', { cpu: { enable: ['aes'], disable: ['aes'] } }, 422, 'spec.cpu_feature', 'cpu.enable[0]'],
    ['nested by the name of a feature', { cpu: { enable: ['aes', 'vmx'] } }, 422, 'spec.cpu_feature', 'cpu.enable[1]'],
    ['nodes that nothing tells of', { profile: 'micro', numa: [{ cpus: [0], memoryMiB: 64 }] }, 422, 'spec.profile_conflict', 'numa'],
    [
      'a port with the name of the terminal',
      { console: { ports: [{ name: 'hvc0' }] } },
      422,
      'spec.duplicate_name',
      'console.ports[0].name',
    ],
    ['two ports of one name', { console: { ports: [{ name: 'a' }, { name: 'a' }] } }, 422, 'spec.duplicate_name', 'console.ports[1].name'],
    ['a port with a path for a name', { console: { ports: [{ name: '../a' }] } }, 422, 'request.invalid_value', 'console.ports[0].name'],
    ['a watchdog that nothing tells of', { profile: 'micro', watchdog: {} }, 422, 'spec.profile_conflict', 'watchdog'],
    ['a watchdog that barks', { watchdog: { action: 'bark' } }, 422, 'request.invalid_value', 'watchdog.action'],
    ['the id of another as a name', { name: 'mac-01k00000000000000000000000' }, 422, 'request.invalid_name', 'name'],
    ['an unknown field', { cpuz: 1 }, 422, 'request.unknown_field', 'cpuz'],
    ['an unknown nested field', { boot: { kernel: 'k', kernal: 'k' } }, 422, 'request.unknown_field', 'boot.kernal'],
    ['a number as text', { cpus: '2' }, 422, 'request.invalid_type', 'cpus'],
    ['text as a list', { disks: 'root' }, 422, 'request.invalid_type', 'disks'],
    ['a null entry in a list', { disks: [null] }, 422, 'request.invalid_type', 'disks'],
    ['a missing field', { boot: undefined }, 422, 'request.missing_field', 'boot'],
    ['a bad MAC', { interfaces: [{ name: 'eth0', mac: '02:00:00' }] }, 422, 'spec.mac_invalid', 'interfaces[0].mac'],
    ['a multicast MAC', { interfaces: [{ name: 'eth0', mac: '01:00:00:00:00:01' }] }, 422, 'spec.mac_invalid', 'interfaces[0].mac'],
    ['an absent network', { interfaces: [{ name: 'eth0', network: 'nothing' }] }, 422, 'network.not_found', 'interfaces[0].network'],
    ['a name with capitals', { name: 'Big' }, 422, 'request.invalid_name', 'name'],
    [
      'a disk name twice',
      {
        disks: [
          { name: 'a', image: 'd' },
          { name: 'a', image: 'd' },
        ],
      },
      422,
      'spec.duplicate_name',
      'disks[1].name',
    ],
    ['a disk from nowhere', { disks: [{ name: 'a' }] }, 422, 'spec.disk_invalid', 'disks[0]'],
    [
      'a command line with a line break',
      { boot: { kernel: 'k', commandLine: 'a\nb' } },
      422,
      'spec.command_line_invalid',
      'boot.commandLine',
    ],
  ];

  for (const [what, change, status, code, field] of refused) {
    it(`refuses ${what}`, async () => {
      const answer = await flotilla.call('POST', '/v1/machines', { body: machine('bad', change) });
      expectProblem(answer, status, code);
      expect(answer.body['field']).to.equal(field);
      expect(flotilla.leftovers()).to.deep.equal([]);
    });
  }

  it('refuses what is no JSON, no object, too large, or of another type', async () => {
    for (const raw of ['{', '{"a":}', 'nonsense', ''])
      expect((await flotilla.call('POST', '/v1/machines', { raw })).status, raw).to.be.within(400, 422);
    expectProblem(await flotilla.call('POST', '/v1/machines', { raw: '{' }), 400, 'request.malformed');
    expectProblem(await flotilla.call('POST', '/v1/machines', { raw: '[]' }), 422, 'request.invalid_type');
    expectProblem(
      await flotilla.call('POST', '/v1/machines', { raw: '{}', headers: { 'content-type': 'text/plain' } }),
      415,
      'request.unsupported_media_type',
    );
    expectProblem(
      await flotilla.call('POST', '/v1/machines', { raw: `{"name":"${'x'.repeat(100 * 1024 * 1024)}"}` }),
      413,
      'request.too_large',
    );
    expectProblem(await flotilla.call('GET', '/v1/nothing'), 404, 'request.not_found');
    expectProblem(await flotilla.call('GET', '/v1/machines/%E0%A4%A'), 400, 'request.malformed');
    expectProblem(await flotilla.call('GET', '/v1/machines/x/console'), 400, 'request.malformed');
  });

  it('refuses small bodies that would cost much', async () => {
    const many = `{"disks":[${'{},'.repeat(300_000)}{}]}`;
    const deep = `{"name":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`;
    for (const raw of [many, deep])
      expectProblem(
        await flotilla.call('POST', '/v1/machines', { raw, headers: { 'idempotency-key': 'costly' } }),
        413,
        'request.too_large',
      );
  });

  it('refuses keys of objects that JavaScript keeps for itself, and texts with NUL', async () => {
    const send = async (text: string) => {
      const raw = JSON.stringify(machine('own', { start: false, extra: 0 })).replace('"extra":0', text);
      const { status, body } = await flotilla.call('POST', '/v1/machines', { raw });
      return [status, body['code'], body['field']];
    };
    for (const key of ['__proto__', 'constructor', 'prototype']) {
      expect(await send(`"${key}":{"cpus":7}`)).to.deep.equal([422, 'request.unknown_field', key]);
      expect(await send(`"disks":[{"name":"a","${key}":1}]`)).to.deep.equal([422, 'request.unknown_field', `disks[0].${key}`]);
      expect(await send(`"labels":{"a":"b","${key}":"c"}`)).to.deep.equal([422, 'request.invalid_labels', 'labels']);
      expect((await flotilla.call('GET', `/v1/machines?${key}=1`)).body).to.include({ code: 'request.unknown_field', field: key });
    }
    expect(await send('"boot":{"kernel":"k\\u0000"}')).to.deep.equal([422, 'request.invalid_type', 'boot.kernel']);
  });

  it('reads nothing of a body without a valid key', async () => {
    const expectRefusal = async (method: string, authorization: string, code: string) => {
      const head = `${method} /v1/machines/x HTTP/1.1\r\nHost: x\r\n${authorization}Content-Type: application/json\r\n`;
      // The rest never comes: there is an answer nevertheless, and the connection ends soon.
      const answer = await exchange(flotilla.url, `${head}Content-Length: 1000000\r\n\r\n{`);
      expect(answer, method).to.contain('HTTP/1.1 401 ').and.to.contain(code);
    };
    await Promise.all([
      expectRefusal('POST', '', 'auth.missing'),
      expectRefusal('PUT', '', 'auth.missing'),
      expectRefusal('PATCH', 'Authorization: Bearer flo_wrong\r\n', 'auth.invalid'),
    ]);
    expect((await flotilla.call('POST', '/v1/machines', { raw: '{', key: null })).body['code']).to.equal('auth.missing');
  });

  it('takes only WebSockets for upgrades, and only of consoles', async () => {
    const headers = (offer: string, more = '') =>
      `Host: x\r\nAuthorization: Bearer ${flotilla.key}\r\nConnection: Upgrade${more === '' ? ', close' : ''}\r\nUpgrade: ${offer}\r\n${more}\r\n`;
    const ask = (line: string, offer = 'h2c') => exchange(flotilla.url, `${line} HTTP/1.1\r\n${headers(offer)}`);
    for (const target of ['//', '/v1/nothing']) {
      const answer = await ask(`GET ${target}`, 'websocket');
      expect(answer, target).to.contain('HTTP/1.1 404 Not Found').and.to.contain('request.not_found');
    }
    expect(await ask('GET /health/live'))
      .to.contain('HTTP/1.1 200 ')
      .and.to.contain('{"status":"ok"}');
    expect(await ask('GET /v1/machines/x/console'))
      .to.contain('HTTP/1.1 400 ')
      .and.to.contain('request.malformed');
    expect(await ask('DELETE /v1/machines/upgraded'))
      .to.contain('HTTP/1.1 404 ')
      .and.to.contain('machine.not_found');
    const audited = [...((await flotilla.call('GET', '/v1/audit?limit=200')).body['items'] ?? [])].map((one) => one['path']);
    expect(audited).to.include('/v1/machines/upgraded');
    const body = JSON.stringify({ name: 'upgraded', role: 'viewer' });
    const post = headers('h2c', `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n`);
    const both = await exchange(flotilla.url, `POST /v1/keys HTTP/1.1\r\n${post}${body}GET /health/ready HTTP/1.1\r\n${headers('h2c')}`);
    expect(both, 'with its body').to.contain('HTTP/1.1 201 ').and.to.contain('HTTP/1.1 200 ');
  });

  it('finds the path in targets of any form', async () => {
    const ask = (target: string) => exchange(flotilla.url, `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    expect(await ask('http://x/health/live?')).to.contain('HTTP/1.1 200 ');
    for (const target of ['http://', 'http://x', 'http://x?a=b', '*']) {
      const answer = await ask(target);
      expect(answer, target).to.contain('HTTP/1.1 404 ').and.to.contain('request.not_found');
    }
  });

  it('checks the body of every route that takes one', async () => {
    const document = JSON.parse(readFileSync(DOCUMENT, 'utf8')) as {
      paths: Record<string, Record<string, { requestBody?: { content: object } }>>;
    };
    let checked = 0;
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.requestBody === undefined || !('application/json' in operation.requestBody.content)) continue;
        const answer = await flotilla.call(method.toUpperCase(), path.replace(/\{\w+\}/g, 'nobody'), { body: { surely_not_a_field: 1 } });
        expect(answer.status, `${method} ${path}`).to.equal(422);
        expect([...(answer.body['errors'] ?? [])].map((one) => one['code'])).to.include('request.unknown_field');
        checked += 1;
      }
    }
    expect(checked).to.be.above(9);
  });

  it('asks for a key on every route but the public ones', async () => {
    const document = JSON.parse(readFileSync(DOCUMENT, 'utf8')) as { paths: Record<string, Record<string, { security?: unknown[] }>> };
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        const answer = await flotilla.call(method.toUpperCase(), path.replace(/\{\w+\}/g, 'x'), { key: null });
        if (operation.security === undefined) expectProblem(answer, 401, 'auth.missing');
        else expect(answer.status, path).to.equal(200);
      }
    }
  });

  it('never answers 5xx to any JSON', async function () {
    this.timeout(120_000);
    const shaped = fc.record(
      {
        name: fc.oneof(fc.string(), fc.constant('fuzz')),
        cpus: fc.oneof(fc.integer(), fc.double(), fc.string()),
        memoryMiB: fc.anything({ maxDepth: 1 }),
        boot: fc.oneof(fc.jsonValue(), fc.record({ kernel: fc.string(), commandLine: fc.string() })),
        disks: fc.oneof(fc.jsonValue(), fc.array(fc.jsonValue())),
        labels: fc.oneof(fc.jsonValue(), fc.dictionary(fc.string(), fc.string())),
        ['__proto__']: fc.jsonValue(),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.jsonValue(), shaped),
        fc.constantFrom('/v1/machines', '/v1/images', '/v1/keys', '/v1/machines/nobody/stop'),
        async (body, path) => {
          const raw = JSON.stringify(body, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)) ?? 'null';
          const answer = await flotilla.call('POST', path, { raw });
          expect(answer.status).to.be.within(200, 499);
          if (answer.status >= 400) expect(answer.body['code']).to.be.a('string');
        },
      ),
      { numRuns: 100 },
    );
  });
});

function expectProblem(answer: Answer, status: number, code: string): void {
  expect([answer.status, answer.body['code']]).to.deep.equal([status, code]);
  expect(answer.headers.get('content-type')).to.contain('application/problem+json');
  expect(answer.headers.get('x-request-id')).to.equal(answer.body['requestId']);
  expect(answer.body['remedy']).to.have.length.above(5);
}

/** Sends a text and never closes; answers what came until the other side did. */
function exchange(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true }, () => socket.write(text));
    socket
      .on('data', (bytes) => {
        answer += bytes.toString();
      })
      .on('error', reject)
      .on('end', () => {
        socket.destroy();
        resolve(answer);
      });
  });
}
