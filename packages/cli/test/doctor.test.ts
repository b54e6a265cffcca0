// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';
import { Cloud } from './cloud.js';

interface Report {
  readonly checks: ReadonlyArray<{ id: string; title: string; status: string; detail: string; meaning: string; remedy?: string }>;
  readonly kvm: { kind: string; detail: string };
}

const ids = [
  ...['cpu', 'kvm', 'kvm-kind', 'kvm-capabilities', 'kernel', 'seccomp', 'landlock', 'io-uring', 'cgroup', 'tun', 'nf-tables'],
  ...[
    'vhost-net',
    'passt',
    'virtiofsd',
    'mount-nfs',
    'lvm',
    'hugepages',
    'iommu',
    'ksm',
    'disk-space',
    'program-ip',
    'program-nft',
    'program-dnsmasq',
  ],
];

describe('flotilla doctor', () => {
  const cloud = new Cloud();
  let report: Report;
  let status: number;

  before(async () => {
    const outcome = await cloud.flotilla('doctor', '-o', 'json');
    expect(outcome.stderr).to.equal('');
    report = JSON.parse(outcome.stdout) as Report;
    status = outcome.status;
  });
  after(() => cloud.stop());

  const isMissing = (id: string): boolean => report.checks.find((check) => check.id === id)?.status === 'missing';

  it('makes every check, whatever the host lacks', () => {
    expect(report.checks.map(({ id }) => id)).to.deep.equal(ids);
  });

  it('says of each what it means, and how to mend it where it is not well', () => {
    for (const { id, status: found, detail, meaning, remedy } of report.checks) {
      expect(found, id).to.be.oneOf(['ok', 'degraded', 'missing']);
      expect([detail, meaning], id).not.to.include('');
      expect(remedy === undefined, id).to.equal(found === 'ok');
    }
  });

  it('agrees with itself about KVM', () => {
    expect(report.kvm.kind).to.be.oneOf(['hardware', 'software', 'none']);
    expect(isMissing('kvm-kind')).to.equal(report.kvm.kind === 'none');
    if (report.kvm.kind === 'none') expect(isMissing('kvm-capabilities')).to.equal(true);
  });

  it('ends with 1 when something is missing, else with 0', () => {
    expect(status).to.equal(report.checks.some((check) => check.status === 'missing') ? 1 : 0);
  });

  it('says the same for a person, what is not well with its meaning and the mend', async () => {
    const text = await cloud.flotilla('doctor');
    expect([text.status, text.stderr]).to.deep.equal([status, '']);
    const blocks = text.stdout.split(/\n(?=\S)/);
    expect(blocks).to.have.length(ids.length);
    report.checks.forEach((check, index) => {
      const block = blocks[index] ?? '';
      expect(block)
        .to.match(new RegExp(`^${check.status} `))
        .and.to.contain(`${check.title}: `);
      expect(block.includes(check.meaning)).to.equal(check.status !== 'ok');
      if (check.remedy !== undefined) expect(block).to.contain(`Mend: ${check.remedy}`);
    });
  });

  it('says it as YAML and as names too', async () => {
    expect((parse((await cloud.flotilla('-o', 'yaml', 'doctor')).stdout) as Report).checks.map(({ id }) => id)).to.deep.equal(ids);
    expect((await cloud.flotilla('-o', 'name', 'doctor')).stdout.trim().split('\n')).to.deep.equal(ids);
  });

  it('looks for disk space where the data will be', async () => {
    const spaceBelow = async (env: NodeJS.ProcessEnv, ...options: string[]): Promise<string> => {
      const { stdout } = await cloud.run(['doctor', '-o', 'json', ...options], env);
      return (JSON.parse(stdout) as Report).checks.find(({ id }) => id === 'disk-space')?.detail ?? '';
    };
    expect(await spaceBelow({})).to.match(new RegExp(`below ${cloud.folder}$`)); // data/ is not made yet
    expect(await spaceBelow({ FLOTILLA_DATA_DIR: '/proc/self' })).to.equal('0.0 GiB free below /proc/self');
    expect(await spaceBelow({ FLOTILLA_DATA_DIR: '/proc/self' }, '--data-dir', join(cloud.folder, 'x'))).to.match(/-cli-\w+$/);
  });
});
