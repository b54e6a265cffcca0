// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Answer, machine, Orchestrator } from '../support/orchestrator.js';

describe('an import by path', () => {
  let flotilla: Orchestrator;
  let open: string;
  let operator: string;
  let count = 0;

  afterEach(() => flotilla.dispose());

  describe('without import roots', () => {
    beforeEach(() => begin({}));

    it('is for administrators only; others are told the permission and what to do instead', async () => {
      writeFileSync(join(open, 'disk'), Buffer.alloc(512));
      const refused = await load(join(open, 'disk'), operator);
      expect(refused.status).to.equal(403);
      expect(refused.body).to.include({ code: 'auth.forbidden' });
      expect(refused.body['detail']).to.contain('images:import');
      expect(refused.body['remedy']).to.contain('--import-root').and.contain('PUT /v1/images');
      expect((await load(join(open, 'disk'))).body['state']).to.equal('succeeded');
    });

    it('refuses everything that is no regular file, at once and without opening it', async function () {
      this.timeout(20_000);
      writeFileSync(join(open, 'disk'), Buffer.alloc(512));
      symlinkSync('disk', join(open, 'link'));
      symlinkSync('/nowhere', join(open, 'dangling'));
      execFileSync('mkfifo', [join(open, 'fifo')]);
      mkdirSync(join(open, 'directory'));
      const kinds: [string, string, string][] = [
        ['link', 'file.not_regular', 'symbolic link'],
        ['dangling', 'file.not_regular', 'symbolic link'],
        ['fifo', 'file.not_regular', 'FIFO'],
        ['directory', 'file.not_regular', 'directory'],
        ['none', 'file.missing', 'no file'],
        ['disk/below', 'file.missing', 'no file'],
      ];
      const paths: [string, string, string][] = [
        ...kinds.map(([name, code, text]): [string, string, string] => [join(open, name), code, text]),
        ['/dev/zero', 'file.not_regular', 'device'],
        ['/dev/tty', 'file.not_regular', 'device'],
      ];
      for (const [path, code, text] of paths) {
        const { body } = await load(path);
        expect(body['error'], path).to.include({ code, field: 'source.path' });
        expect(body['error']?.['detail'], path).to.contain(text);
      }
    });
  });

  describe('with import roots', () => {
    beforeEach(() => begin({ FLOTILLA_IMPORT_ROOTS: '$OPEN:/nowhere/either' }));

    it('is for operators too, below those directories', async () => {
      mkdirSync(join(open, 'deep'));
      writeFileSync(join(open, 'deep/disk'), Buffer.alloc(512));
      expect((await load(join(open, 'deep/disk'), operator)).body['state']).to.equal('succeeded');
    });

    it('gets out of them by no path, for nobody, and does not tell what is outside', async () => {
      const closed = join(flotilla.directory, 'closed');
      mkdirSync(closed);
      writeFileSync(join(closed, 'disk'), Buffer.alloc(512));
      symlinkSync(closed, join(open, 'out'));
      mkdirSync(`${open}-beside`);
      writeFileSync(join(`${open}-beside`, 'disk'), Buffer.alloc(512));
      for (const path of [
        join(closed, 'disk'),
        `${open}/../closed/disk`,
        join(open, 'out/disk'),
        join(`${open}-beside`, 'disk'),
        join(closed, 'none'),
        join(open, 'out/none'),
        join(open, 'out/none/deeper'),
        '/etc/passwd',
        open,
      ]) {
        for (const key of [operator, flotilla.key]) {
          const { body } = await load(path, key);
          expect(body['error'], path).to.include({ code: 'file.outside_roots', status: 403, field: 'source.path' });
        }
      }
    });

    it('says of a path below them that nothing is there', async () => {
      expect((await load(join(open, 'none'), operator)).body['error']?.['code']).to.equal('file.missing');
    });

    it('may have a root that is a symbolic link', async () => {
      writeFileSync(join(open, 'disk'), Buffer.alloc(512));
      renameSync(open, `${open}-moved`);
      symlinkSync(`${open}-moved`, open);
      expect((await load(join(open, 'disk'), operator)).body['state']).to.equal('succeeded');
    });
  });

  describe('beside share roots', () => {
    beforeEach(() => begin({ FLOTILLA_SHARE_ROOTS: '$OPEN' }));

    it('a machine shares folders below them and no others, and keeps what it was asked for', async () => {
      await flotilla.importImages();
      const create = (share: object, more: object = {}) =>
        flotilla.call('POST', '/v1/machines', {
          body: machine('sharing', { start: false, disks: [], interfaces: [], shares: [share].flat(), ...more }),
        });
      for (const path of ['/etc', `${open}/../closed`, `${open}-beside`, '/']) {
        const { status, body } = await create({ tag: 'data', path });
        expect([status, body['code'], body['field']], path).to.deep.equal([403, 'share.forbidden', 'shares[0].path']);
      }
      const refused = async (share: object, more?: object) => (({ body }) => [body['code'], body['field']])(await create(share, more));
      expect(await refused({ tag: 'a b', path: open })).to.deep.equal(['spec.share_invalid', 'shares[0].tag']);
      expect(await refused({ tag: 'a', path: 'open' })).to.deep.equal(['spec.share_invalid', 'shares[0].path']);
      const many = Array.from({ length: 5 }, (_, index) => ({ tag: `t${index}`, path: open }));
      expect(await refused(many)).to.deep.equal(['spec.share_invalid', 'shares']);
      expect(await refused([many[0], many[0]] as object)).to.deep.equal(['spec.duplicate_name', 'shares[1].tag']);
      const merged = await refused({ tag: 'a', path: open }, { memoryOptions: { mergeable: true } });
      expect(merged).to.deep.equal(['spec.memory_conflict', 'memoryOptions.mergeable']);
      const shares = [
        { tag: 'data', path: `${open}/deep`, readOnly: true },
        { tag: 'more', path: open },
      ];
      expect((await create(shares)).status).to.equal(202);
      const found = (await flotilla.call('GET', '/v1/machines/sharing')).body['spec'] as unknown as { shares: unknown };
      expect(found.shares).to.deep.equal([shares[0], { ...shares[1], readOnly: false }]);
    });
  });

  async function begin(environment: Record<string, string>): Promise<void> {
    flotilla = new Orchestrator();
    open = join(flotilla.directory, 'open');
    mkdirSync(open);
    chmodSync(open, 0o755);
    await flotilla.start(Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, value.replace('$OPEN', open)])));
    operator = String((await flotilla.call('POST', '/v1/keys', { body: { name: 'operator', role: 'operator' } })).body['secret']);
  }

  function load(path: string, key = flotilla.key): Promise<Answer> {
    count += 1;
    return flotilla.call('POST', '/v1/images', {
      key,
      body: { name: `image-${count}`, kind: 'disk', format: 'raw', source: { path } },
      headers: { prefer: 'wait=20' },
    });
  }
});
