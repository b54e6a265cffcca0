// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { expect } from 'chai';
import WebSocket from 'ws';
import { type DocumentedOperation, documentedMutations } from '../support/api-document.js';
import { onEachDatabase } from '../support/databases.js';
import { type Answer, type Body, machine, Orchestrator } from '../support/orchestrator.js';

onEachDatabase('the audit log', (makeDatabase) => {
  let flotilla: Orchestrator;
  let viewer: string;

  before(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start();
    await flotilla.importImages();
    const made = await flotilla.call('POST', '/v1/keys', { body: { name: 'viewer', role: 'viewer' } });
    viewer = String(made.body['secret']);
  });
  after(() => flotilla.dispose());

  const records = async (): Promise<Body[]> => {
    const all: Body[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await flotilla.call('GET', `/v1/audit?limit=200${cursor}`);
      all.push(...(body['items'] as Iterable<Body>));
      if (body['nextCursor'] === undefined) return all;
      cursor = `&cursor=${body['nextCursor']}`;
    }
  };
  /** The one record of a request. */
  const expectRecord = async (answer: Answer, path: string, expected: Record<string, unknown>) => {
    const found = (await records()).filter((one) => one['requestId'] === answer.headers.get('x-request-id'));
    expect(found, `records of ${path}`).to.have.length(1);
    expect(found[0]).to.include({ ...expected, path, status: answer.status });
    expect(Date.parse(String(found[0]?.['time']))).to.be.closeTo(Date.now(), 60_000);
  };
  const waiting = { prefer: 'wait=20' };
  const stillMachine = (name: string, more = {}) => machine(name, { start: false, disks: [], interfaces: [], ...more });
  const slow = { start: true, boot: { kernel: 'k', commandLine: 'fake.boot_ms=3000' } };
  /** A machine that runs, or was taken further by an action. */
  const running = async (name: string, action?: string) => {
    await flotilla.change('POST', '/v1/machines', stillMachine(name, { start: true }));
    if (action !== undefined) await flotilla.change('POST', `/v1/machines/${name}/${action}`, {});
    return `/v1/machines/${name}`;
  };
  const poolOf = (name: string) => ({ name, kind: 'dir', dir: { path: join(flotilla.directory, `pool-${name}`) } });
  const pool = async (name: string, more = {}) => {
    await flotilla.change('POST', '/v1/pools', { ...poolOf(name), ...more });
    return `/v1/pools/${name}`;
  };
  const network = async (name: string) => {
    await flotilla.call('POST', '/v1/networks', { body: { name, kind: 'nat' } });
    return `/v1/networks/${name}`;
  };
  /** A port of the host for a machine that is made for it. */
  const forward = async (name: string, hostPort: number) => {
    await flotilla.change('POST', '/v1/machines', machine(name, { start: false, disks: [] }));
    return { protocol: 'tcp', hostPort, machine: name, guestPort: 80 };
  };
  const disk = (name: string) => ({ name, kind: 'disk', format: 'raw', source: { path: join(flotilla.directory, 'disk') } });

  /** What each operation is called with so that it succeeds: path and body. */
  const succeeding: Record<string, () => Promise<[path: string, body?: unknown]>> = {
    images_import: async () => ['/v1/images', disk('imported')],
    images_upload: async () => ['/v1/images/uploaded/content?kind=disk&format=raw'],
    images_remove: async () => {
      await flotilla.change('POST', '/v1/images', disk('gone'));
      return ['/v1/images/gone'];
    },
    keys_create: async () => ['/v1/keys', { name: 'made', role: 'viewer' }],
    keys_remove: async () => {
      await flotilla.call('POST', '/v1/keys', { body: { name: 'short-lived', role: 'viewer' } });
      return ['/v1/keys/short-lived'];
    },
    machines_create: async () => ['/v1/machines', stillMachine('made')],
    machines_update: async () => [await running('updated'), { labels: { a: 'b' } }],
    machines_updateInterface: async () => {
      await flotilla.change('POST', '/v1/machines', machine('unplugged', { start: false, disks: [] }));
      return ['/v1/machines/unplugged/interfaces/eth0', { link: 'down' }];
    },
    machines_announce: async () => {
      await flotilla.change('POST', '/v1/machines', machine('loud', { disks: [] }));
      return ['/v1/machines/loud/interfaces/eth0/announce', {}];
    },
    machines_updateBalloon: async () => {
      await flotilla.change('POST', '/v1/machines', stillMachine('lean', { balloon: {} }));
      return ['/v1/machines/lean/balloon', { targetMiB: 0 }];
    },
    machines_reclaimMemory: async () => {
      await flotilla.change('POST', '/v1/machines', stillMachine('roomy', { start: true, balloon: { freePageHinting: true } }));
      return ['/v1/machines/roomy/balloon/reclaim', {}];
    },
    machines_updateThrottle: async () => {
      await flotilla.change('POST', '/v1/machines', stillMachine('limited'));
      return ['/v1/machines/limited/throttle', { kind: 'rng', limits: {} }];
    },
    machines_remove: async () => [`${await running('removed')}?force=true`],
    machines_start: async () => [`${await running('started', 'kill')}/start`, {}],
    machines_stop: async () => [`${await running('stopped')}/stop`, {}],
    machines_restart: async () => [`${await running('restarted')}/restart`, {}],
    machines_kill: async () => [`${await running('killed')}/kill`, {}],
    machines_pause: async () => [`${await running('paused')}/pause`, {}],
    machines_resume: async () => [`${await running('resumed', 'pause')}/resume`, {}],
    machineDisks_attach: async () => {
      await flotilla.change('POST', '/v1/machines', stillMachine('wider', { disks: [] }));
      return ['/v1/machines/wider/disks', { name: 'more', sizeMiB: 1 }];
    },
    machineDisks_detach: async () => {
      await flotilla.change('POST', '/v1/machines', stillMachine('narrower', { disks: [{ name: 'more', sizeMiB: 1 }] }));
      return ['/v1/machines/narrower/disks/more?deleteVolume=true'];
    },
    volumes_create: async () => ['/v1/volumes', { name: 'made', sizeMiB: 1 }],
    volumes_move: async () => {
      await pool('roomy');
      await flotilla.change('POST', '/v1/volumes', { name: 'mover', sizeMiB: 1 });
      return ['/v1/volumes/mover/move', { pool: 'roomy' }];
    },
    volumes_remove: async () => {
      await flotilla.change('POST', '/v1/volumes', { name: 'gone', sizeMiB: 1 });
      return ['/v1/volumes/gone'];
    },
    volumes_update: async () => {
      await flotilla.change('POST', '/v1/machines', stillMachine('grower', { disks: [{ name: 'root', sizeMiB: 4 }] }));
      const { body } = await flotilla.call('GET', '/v1/machines/grower');
      return [`/v1/volumes/${body['observed']?.['disks']?.[0]?.['volume']}`, { sizeMiB: 8 }];
    },
    networks_define: async () => ['/v1/networks', { name: 'made', kind: 'nat' }],
    networks_update: async () => [await network('changed'), { domain: 'changed.test' }],
    networks_remove: async () => [await network('removed')],
    networkForwards_add: async () => ['/v1/networks/default/forwards', await forward('led', 28_193)],
    networkForwards_remove: async () => {
      const { body } = await flotilla.call('POST', '/v1/networks/default/forwards', { body: await forward('freed', 28_194) });
      return [`/v1/networks/default/forwards/${body['id']}`];
    },
    pools_define: async () => ['/v1/pools', poolOf('made')],
    pools_update: async () => [await pool('changed'), { autostart: false }],
    pools_start: async () => [`${await pool('started', { start: false })}/start`, {}],
    pools_stop: async () => [`${await pool('stopped')}/stop`, {}],
    pools_refresh: async () => [`${await pool('refreshed')}/refresh`, {}],
    pools_remove: async () => [await pool('removed')],
    operations_cancel: async () => {
      const { body } = await flotilla.call('POST', '/v1/machines', { body: stillMachine('cancelled', slow) });
      return [`/v1/operations/${body['id']}/cancel`, {}];
    },
  };
  const ask = (operation: DocumentedOperation, path: string, body?: unknown, key = flotilla.key) =>
    operation.id === 'images_upload'
      ? flotilla.call(operation.method, path, { raw: 'content', headers: { 'content-type': 'application/octet-stream' }, key })
      : flotilla.call(operation.method, path, { ...(body === undefined ? {} : { body }), headers: waiting, key });

  it('is asked about every operation that changes something', () => {
    expect(documentedMutations().map((one) => one.id)).to.have.members(Object.keys(succeeding));
  });

  for (const operation of documentedMutations()) {
    const { id, method, permission } = operation;

    it(`has who did ${id}, and what`, async () => {
      const [path, body] = (await succeeding[id]?.()) ?? [''];
      const answer = await ask(operation, path, body);
      expect(answer.status, JSON.stringify(answer.body)).to.be.within(200, 204);
      await expectRecord(answer, path.replace(/\?.*/, ''), { actor: 'admin', method, permission, outcome: 'done' });
    });

    it(`has who was denied ${id}`, async () => {
      const path = operation.path.replace(/\{\w+\}/g, 'nobody');
      const answer = await ask(operation, path, {}, viewer);
      expect(answer.status).to.equal(403);
      await expectRecord(answer, path, { actor: 'viewer', method, permission, outcome: 'denied', code: 'auth.forbidden' });
    });

    it(`has how ${id} was refused`, async () => {
      const path = operation.path.replace(/\{\w+\}/g, 'nobody');
      const answer = await ask(operation, path, { surely_not_a_field: 1 });
      expect(answer.status).to.be.within(400, 422);
      await expectRecord(answer, path, { actor: 'admin', method, permission, outcome: 'refused', code: answer.body['code'] });
    });
  }

  it('does not have what only reads', async () => {
    const before = (await records()).length;
    for (const path of ['/v1/machines', '/v1/images/k', '/v1/keys', '/v1/audit']) await flotilla.call('GET', path);
    await consoleOf('updated', 'offset=0');
    expect(await records()).to.have.length(before);
  });

  it('has who opened a console to type on it, once for each connection, and who was refused', async () => {
    const path = '/v1/machines/updated/console';
    const before = (await records()).length;
    const found = async () =>
      (await records()).slice(before).map((one) => [one['actor'], one['path'], one['outcome'], one['status'], one['code']].map(String));
    const writer = await consoleOf('updated', 'write=true', undefined, true);
    expect(await found(), 'before anything is typed').to.deep.equal([['admin', path, 'done', '101', 'undefined']]);
    for (let i = 0; i < 5; i += 1) writer.send(Buffer.from('x'));
    await consoleOf('updated', 'write=true'); // there is a writer
    writer.close();
    await consoleOf('updated', 'write=true', viewer);
    await consoleOf('updated', 'write=true', 'flo_wrong');
    await consoleOf('nobody', 'write=true');
    expect(await found()).to.deep.equal([
      ['admin', path, 'done', '101', 'undefined'],
      ['admin', path, 'refused', '409', 'console.writer_taken'],
      ['viewer', path, 'denied', '403', 'auth.forbidden'],
      ['anonymous', path, 'denied', '401', 'auth.invalid'],
      ['admin', '/v1/machines/nobody/console', 'refused', '404', 'machine.not_found'],
    ]);
    for (const one of (await records()).slice(before)) {
      expect(one).to.include({ method: 'GET', permission: 'machines:write' });
      expect(one['requestId']).to.match(/^req-/);
    }
  });

  it('has a few of very many requests without a key, and every one of who has one', async () => {
    const began = Date.now();
    for (let i = 0; i < 400; i += 1) await flotilla.call('DELETE', '/v1/machines/flooded', { key: null });
    const seconds = (Date.now() - began) / 1000;
    await flotilla.call('DELETE', '/v1/machines/flooded', { key: viewer });
    const found = (await records()).filter((one) => one['path'] === '/v1/machines/flooded').map((one) => String(one['actor']));
    expect(found.at(-1)).to.equal('viewer');
    expect(found.filter((actor) => actor === 'anonymous')).to.have.length.within(50, 101 + 10 * seconds);
    expect(flotilla.log).to.contain('so many more were refused but not audited');
  });

  /** Opens a console and waits for its first frame or its end. */
  async function consoleOf(name: string, query: string, key = flotilla.key, stay = false): Promise<WebSocket> {
    const client = new WebSocket(`${flotilla.url.replace('http', 'ws')}/v1/machines/${name}/console?${query}`, {
      headers: { authorization: `Bearer ${key}` },
    });
    await new Promise((resolve, reject) => client.once('message', resolve).once('close', resolve).once('error', reject));
    if (!stay && client.readyState !== client.CLOSED) {
      client.close();
      await new Promise((resolve) => client.once('close', resolve));
    }
    return client;
  }
});
