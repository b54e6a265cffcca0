// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { isSshKey, isUserData } from '../common/cloud-init.js';
import type { LaunchCommand } from '../host-agent/host-agent.js';
import { NodeFileTools } from './files/node-file-tools.js';
import { SeedDisks, seedFiles } from './seed-disks.js';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbcdefghijklmnopqrstuvwxyz0123456789ABCDEFG me@here';

describe('What cloud-init is told', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-seeds-'));
  after(() => rmSync(folder, { recursive: true }));

  it('is who the machine is, its keys, and what was given', () => {
    const files = seedFiles('mac-1', { hostname: 'web', sshKeys: [KEY], userData: '#cloud-config\n', networkConfig: 'version: 2\n' });
    expect(files.map(({ name }) => name)).to.deep.equal(['meta-data', 'user-data', 'network-config']);
    const meta: unknown = JSON.parse(files[0]?.content ?? '');
    expect(meta).to.deep.equal({ 'instance-id': 'mac-1', 'local-hostname': 'web', 'public-keys': [KEY] });
    expect(seedFiles('mac-1', { hostname: 'web', sshKeys: [] }).map(({ content }) => content)).to.deep.equal([
      '{\n  "instance-id": "mac-1",\n  "local-hostname": "web"\n}\n',
      '',
    ]);
  });

  it('lies on a disk that comes with the machine and goes with it', async () => {
    const seeds = new SeedDisks(folder, new NodeFileTools());
    const command = { id: 'mac-1', cloudInit: { hostname: 'web', sshKeys: [], userData: '#!/bin/sh\n' } } as unknown as LaunchCommand;
    expect(await seeds.make({ id: 'mac-1' } as LaunchCommand)).to.deep.equal([]);
    const [disk] = await seeds.make(command);
    expect(disk).to.include({ name: 'cidata', readOnly: true, format: 'raw' });
    expect(readFileSync(disk?.path ?? '', 'utf8')).to.contain('#!/bin/sh');
    await seeds.make({ ...command, id: 'mac-2' });
    for (const name of ['.mac-2.partial', '.mac-3.partial', 'mac-3.partial']) writeFileSync(join(folder, name), '');
    await seeds.collect({ has: (id: string) => id === 'mac-2' });
    expect(readdirSync(folder).sort()).to.deep.equal(['.mac-2.partial', 'mac-2']);
    await seeds.remove('mac-2');
    expect(existsSync(folder) && readdirSync(folder)).to.deep.equal([]);
  });

  it('is refused where cloud-init would leave it out', () => {
    for (const text of ['#cloud-config\na: 1', '#!/bin/sh', 'Content-Type: multipart/mixed', '## template: jinja\n#cloud-config'])
      expect(isUserData(text), text).to.equal(true);
    for (const text of ['', 'packages: [vim]', ' #cloud-config', '# cloud-config', 'echo']) expect(isUserData(text), text).to.equal(false);
    expect(isSshKey(KEY)).to.equal(true);
    for (const line of [
      '',
      'AAAA',
      `${KEY}\nssh-rsa x`,
      `command="sh" ${KEY}`,
      'ssh-ed25519 !!',
      `${KEY}${'x'.repeat(9000)}`,
      '-----BEGIN OPENSSH PRIVATE KEY-----',
    ])
      expect(isSshKey(line), line.slice(0, 30)).to.equal(false);
  });
});
