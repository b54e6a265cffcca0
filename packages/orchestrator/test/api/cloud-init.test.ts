// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { machine, Orchestrator } from '../support/orchestrator.js';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefghijklmnopqrstuvwxyz0123456789ABCDEFG me@here';
const CLOUD_INIT = { userData: '#cloud-config\npassword: secret\n', networkConfig: 'version: 2\n', sshKeys: [KEY] };

for (const split of [false, true]) {
  describe(`a machine with cloud-init, ${split ? 'by an agent of its own' : 'in one process'}`, () => {
    let flotilla: Orchestrator;
    const seeds = () => join(flotilla.directory, 'data/host/seeds');

    beforeEach(async () => {
      flotilla = await new Orchestrator(undefined, split).start();
      await flotilla.importImages();
    });
    afterEach(() => flotilla.dispose());

    const create = (more: object = {}) => flotilla.change('POST', '/v1/machines', machine('web', { cloudInit: CLOUD_INIT, ...more }));

    it('has a disk for it, the last one, as long as it is on the host', async () => {
      const id = String((await create())['target']?.['id']);
      const disk = flotilla.guest(id).spec.disks.at(-1);
      expect(disk).to.include({ name: 'cidata', readOnly: true });
      const text = readFileSync(disk?.path ?? '', 'utf8');
      expect(text).to.contain(`"instance-id": "${id}"`).and.contain('"local-hostname": "web"').and.contain(KEY).and.contain('secret');
      await flotilla.change('POST', '/v1/machines/web/stop', {});
      expect(existsSync(disk?.path ?? ''), 'a password is not left on the host').to.equal(false);
      await flotilla.call('PATCH', '/v1/machines/web', { body: { name: 'shop', cloudInit: { userData: '#!/bin/sh\n' } } });
      await flotilla.change('POST', '/v1/machines/shop/start');
      const next = readFileSync(flotilla.guest(id).spec.disks.at(-1)?.path ?? '', 'utf8');
      expect(next).to.contain(`"instance-id": "${id}"`).and.contain('"local-hostname": "shop"').and.not.contain('secret');
      await flotilla.change('DELETE', '/v1/machines/shop?force=true');
      expect(readdirSync(seeds())).to.deep.equal([]);
    });

    it('shows what it was told to those alone who may change it', async () => {
      await create();
      const made = await flotilla.call('POST', '/v1/keys', { body: { name: 'reader', role: 'viewer' } });
      const key = String(made.body['secret']);
      const whole = (await flotilla.call('GET', '/v1/machines/web')).body['spec'];
      expect(whole?.['cloudInit']).to.deep.equal(CLOUD_INIT);
      for (const path of ['/v1/machines/web', '/v1/machines'])
        expect(JSON.stringify((await flotilla.call('GET', path, { key })).body))
          .to.contain(KEY)
          .and.not.contain('secret');
      expect(JSON.stringify((await flotilla.call('GET', '/v1/audit')).body)).not.to.contain('secret');
      expect(JSON.stringify((await flotilla.call('GET', '/v1/operations')).body)).not.to.contain('secret');
    });

    it('is refused with the field at fault', async () => {
      const disks = Array.from({ length: 16 }, (_, index) => ({ name: `d${index}`, sizeMiB: 1 }));
      const refusals: [object, string, string][] = [
        [{ cloudInit: { userData: 'packages: [vim]' } }, 'spec.cloud_init_invalid', 'cloudInit.userData'],
        [{ cloudInit: { userData: `#!${'x'.repeat(65_536)}` } }, 'spec.cloud_init_invalid', 'cloudInit.userData'],
        [{ cloudInit: { userData: '#!\0' } }, 'request.invalid_type', 'cloudInit.userData'],
        [{ cloudInit: { userData: `#!${'x'.repeat(40_000)}`, networkConfig: 'x'.repeat(40_000) } }, 'spec.cloud_init_invalid', 'cloudInit'],
        [{ cloudInit: { networkConfig: '' } }, 'spec.cloud_init_invalid', 'cloudInit.networkConfig'],
        [{ cloudInit: { sshKeys: ['no key'] } }, 'spec.cloud_init_invalid', 'cloudInit.sshKeys'],
        [{ cloudInit: { sshKeys: 'no list' } }, 'spec.cloud_init_invalid', 'cloudInit.sshKeys'],
        [{ cloudInit: { sshKeys: Array.from({ length: 65 }, () => KEY) } }, 'spec.cloud_init_invalid', 'cloudInit.sshKeys'],
        [{ disks: [{ name: 'cidata', sizeMiB: 1 }] }, 'spec.duplicate_name', 'disks[0].name'],
        [{ disks }, 'spec.cloud_init_invalid', 'cloudInit'],
      ];
      for (const [more, code, field] of refusals) {
        const { status, body } = await flotilla.call('POST', '/v1/machines', {
          body: machine('web', { cloudInit: CLOUD_INIT, start: false, ...more }),
        });
        expect([status, body['code'], body['field']], JSON.stringify(more).slice(0, 80)).to.deep.equal([422, code, field]);
      }
    });

    it('keeps the place of its disk when others are attached', async () => {
      await flotilla.change('POST', '/v1/machines', machine('web', { cloudInit: CLOUD_INIT, start: false }));
      const attach = (disk: object) => flotilla.call('POST', '/v1/machines/web/disks', { body: disk });
      const { body } = await attach({ name: 'cidata', sizeMiB: 1 });
      expect([body['code'], body['field']]).to.deep.equal(['spec.duplicate_name', 'name']);
      await flotilla.change('POST', '/v1/machines/web/disks', { name: 'data', sizeMiB: 1 });
      const id = String((await flotilla.change('POST', '/v1/machines/web/start'))['target']?.['id']);
      expect(
        flotilla
          .guest(id)
          .spec.disks.map(({ name }) => name)
          .slice(-2),
      ).to.deep.equal(['data', 'cidata']);
    });

    it('is told nothing else while it runs', async () => {
      await create();
      const { status, body } = await flotilla.call('PATCH', '/v1/machines/web', { body: { cloudInit: {} } });
      expect([status, body['code'], body['field']]).to.deep.equal([409, 'machine.state_conflict', 'cloudInit']);
    });

    it('that is lost leaves no disk behind', async () => {
      writeFileSync(join(seeds(), 'mac-00000000000000000000000000'), 'of nobody');
      await flotilla.stop();
      await flotilla.start();
      await flotilla.waitFor('the collection', () => Promise.resolve(readdirSync(seeds()).length === 0));
    });
  });
}
