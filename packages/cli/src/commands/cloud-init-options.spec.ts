// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { toCloudInit } from './cloud-init-options.js';

describe('What cloud-init is told, on the command line', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-cli-'));
  after(() => rmSync(folder, { recursive: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };

  it('comes from files, each line of keys by itself', () => {
    const keys = file('authorized_keys', '# ours\nssh-ed25519 AAAA one\n\n  ssh-rsa BBBB two\n');
    expect(toCloudInit({})).to.deep.equal({});
    expect(
      toCloudInit({ userData: file('user', '#cloud-config\n'), networkConfig: file('net', 'version: 2\n'), sshKey: [keys, keys] }),
    ).to.deep.equal({
      cloudInit: {
        userData: '#cloud-config\n',
        networkConfig: 'version: 2\n',
        sshKeys: ['ssh-ed25519 AAAA one', 'ssh-rsa BBBB two', 'ssh-ed25519 AAAA one', 'ssh-rsa BBBB two'],
      },
    });
  });

  it('is never a private key', () => {
    const secret = file('id_ed25519', '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n');
    expect(() => toCloudInit({ sshKey: [secret] })).to.throw('.pub');
    expect(() => toCloudInit({ userData: join(folder, 'none') })).to.throw('cannot be read');
  });
});
