// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { Cloud, end, shows } from './cloud.js';

describe('The command line', () => {
  const cloud = new Cloud();
  const { folder, flotilla } = cloud;

  /** What `event watch` prints first; waits until there is such an event. */
  const firstEvent = async (...options: string[]): Promise<unknown> => {
    const watch = cloud.spawn(['-o', 'json', 'event', 'watch', ...options]);
    const ended = once(watch, 'exit');
    let seen = '';
    for await (const chunk of watch.stdout ?? []) {
      seen += String(chunk);
      if (seen.includes('\n')) break;
    }
    watch.kill('SIGINT');
    await ended;
    return JSON.parse(seen.split('\n')[0] ?? '');
  };

  before(() => cloud.start('--import-root', '/nowhere', '--download-host', 'mirror.invalid'));
  after(() => cloud.stop());

  it('finds the orchestrator of its own host without being told', async () => {
    expect(await flotilla('machine', 'list')).to.deep.equal({
      status: 0,
      stdout: 'NAME  STATE  CPUS  MEMORY  ADDRESS  AGE  REASON\n',
      stderr: '',
    });
  });

  it('takes a machine through its life, data on stdout and talk on stderr', async () => {
    expect(
      (await flotilla('image', 'import', 'kernel', join(folder, 'kernel.elf'), '--kind', 'kernel', '--format', 'elf')).status,
    ).to.equal(0);
    const created = await flotilla(
      '-o',
      'json',
      'machine',
      'create',
      'web',
      '--kernel',
      'kernel',
      '--memory',
      '64M',
      '--network',
      'none',
      '--label',
      'tier=front',
    );
    expect(created.status, created.stderr).to.equal(0);
    expect(JSON.parse(created.stdout)).to.nested.include({ 'observed.state': 'running', 'labels.tier': 'front', 'spec.memoryMiB': 64 });
    for (const [verb, state] of [
      ['pause', 'paused'],
      ['resume', 'running'],
      ['restart', 'running'],
      ['stop', 'stopped'],
      ['start', 'running'],
      ['kill', 'stopped'],
    ] as const) {
      const done = await flotilla('-o', 'yaml', 'machine', verb, 'web');
      expect(done.stdout, `${verb}: ${done.stderr}`).to.match(new RegExp(`^  state: ${state}$`, 'm'));
    }
    const limited = ['--throttle', 'name=slow,bps=1M', '--disk', 'size=1M,iops=100,iops-burst=200', '--rng-throttle', 'throttle=slow'];
    const network = 'default,queues=2,tx-bps=64K';
    await flotilla('machine', 'create', 'cabled', '--kernel', 'kernel', '--memory', '64M', '--network', network, ...limited);
    const changed = await flotilla('-o', 'json', 'machine', 'throttle', 'cabled', 'group:slow', 'ops=5');
    const { spec } = JSON.parse(changed.stdout);
    expect(spec.throttleGroups, changed.stderr).to.deep.equal([{ name: 'slow', limits: { operations: { perSecond: 5 } } }]);
    expect(spec.disks[0].throttle).to.deep.equal({ operations: { perSecond: 100, burst: 200 } });
    expect(spec.interfaces[0].transmitThrottle).to.deep.equal({ bytes: { perSecond: 65_536 } });
    const unlimited = await flotilla('-o', 'json', 'machine', 'throttle', 'cabled', 'disk:root', 'none');
    expect(JSON.parse(unlimited.stdout).spec.disks[0].throttle).to.deep.equal({});
    for (const wrong of [
      ['disk', 'ops=5'],
      ['rng', 'ops=5'],
      ['tx:eth0', 'bps=fast'],
      ['tx:eth0', 'bps-burst=5'],
    ])
      expect((await flotilla('machine', 'throttle', 'cabled', ...wrong)).status, wrong.join(' ')).to.be.greaterThan(0);
    const pulled = await flotilla('-o', 'json', 'machine', 'link', 'cabled', 'eth0', 'down');
    expect(JSON.parse(pulled.stdout).spec.interfaces[0], pulled.stderr).to.include({ queues: 2, link: 'down' });
    expect((await flotilla('machine', 'link', 'cabled', 'eth0', 'sideways')).status).to.be.greaterThan(0);
    expect((await flotilla('machine', 'announce', 'cabled', 'eth0')).stderr).to.contain('interface.no_announcement');
    await flotilla('machine', 'link', 'cabled', 'eth0', 'up');
    expect(await flotilla('machine', 'announce', 'cabled', 'eth0')).to.include({ status: 0, stdout: '', stderr: '' });
    expect((await flotilla('machine', 'balloon', 'cabled')).stderr).to.contain('machine.no_balloon');
    await flotilla('machine', 'create', 'lean', '--kernel', 'kernel', '--memory', '64M', '--balloon', 'target=8M,hinting=on');
    expect((await flotilla('machine', 'balloon', 'lean')).stdout).to.match(/^target: +8 MiB$/m);
    expect((await flotilla('machine', 'balloon', 'lean', '--reclaim')).stdout)
      .to.match(/^given back: +1 MiB$/m)
      .and.to.match(/^all there was: +yes$/m);
    expect((await flotilla('machine', 'balloon', 'lean', '8M', '--reclaim')).status).to.be.greaterThan(0);
    const asked = await flotilla('-o', 'json', 'machine', 'balloon', 'lean', '0');
    expect(JSON.parse(asked.stdout).spec.balloon, asked.stderr).to.include({ targetMiB: 0, deflateOnOom: true });
    expect((await flotilla('machine', 'stats', '--once')).stdout)
      .to.match(/^NAME +CPU +STOLEN +MEMORY +READ\/S +WRITE\/S +RX\/S +TX\/S +EXITS\/S$/m)
      .and.to.match(/^lean +\d+\.\d % +0\.0 % +64 MiB +0 B +0 B +0 B +0 B +0$/m);
    const [only, ...more] = JSON.parse((await flotilla('-o', 'json', 'machine', 'stats', 'lean', '--once')).stdout) as object[];
    expect(only).to.include({ name: 'lean', residentBytes: 64 << 20, exits: 0 });
    expect(more).to.deep.equal([]);
    const live = cloud.spawn(['-o', 'json', 'machine', 'stats', 'lean']);
    expect(JSON.parse((await shows(live.stdout, '\n')).split('\n')[0] ?? '')).to.have.length(1);
    expect(await end(live, 'SIGINT')).to.equal(0);
    expect((await flotilla('machine', 'stats', 'nobody')).stderr).to.contain('machine.not_found');
    expect((await flotilla('machine', 'delete', 'lean', '--force', '--yes')).status).to.equal(0);
    expect((await flotilla('machine', 'delete', 'cabled', '--force', '--yes')).status).to.equal(0);
    expect((await flotilla('machine', 'logs', 'web')).stdout).to.contain('Flotilla fake guest');
    expect((await flotilla('-o', 'name', 'machine', 'list')).stdout).to.equal('web\n');
    expect((await flotilla('machine', 'delete', 'web', '--yes')).status).to.equal(0);
  });

  it('shows networks, operations and an operation to its end', async () => {
    expect((await flotilla('network', 'list')).stdout).to.match(/^default +nat/m);
    expect((await flotilla('network', 'show', 'default')).stdout).to.contain('subnet:');
    const operations = JSON.parse((await flotilla('-o', 'json', 'operation', 'list')).stdout) as Array<{ id: string }>;
    const id = operations[0]?.id ?? '';
    expect((await flotilla('operation', 'show', id)).stdout).to.contain(id);
    expect((await flotilla('operation', 'watch', id)).status).to.equal(0);
  });

  it('shows an address as reserved until the guest has taken it, and then until when', async () => {
    await flotilla('machine', 'create', 'linked', '--kernel', 'kernel', '--memory', '64M');
    expect((await flotilla('network', 'show', 'default')).stdout)
      .to.match(/MAC +IP +MACHINE +STATE +EXPIRES/)
      .and.to.contain('reserved');
    const shown = (await flotilla('machine', 'show', 'linked')).stdout;
    const [, ip = ''] = /address: +(10\.77\.\d+\.\d+) \(reserved\)/.exec(shown) ?? [];
    const [mac = ''] = /([0-9a-f]{2}:){5}[0-9a-f]{2}/.exec(shown) ?? [];
    writeFileSync(join(folder, 'run/fake/leases'), `${Math.floor(Date.now() / 1000) + 3600} ${mac} ${ip} * *\n`); // as the DHCP server of a real network does
    expect(await firstEvent('--after', '0', '--kind', 'network.lease')).to.nested.include({ 'data.state': 'taken', 'data.ip': ip });
    expect((await flotilla('machine', 'show', 'linked')).stdout).to.match(new RegExp(`address: +${ip}$`, 'm'));
    expect((await flotilla('network', 'show', 'default')).stdout).to.match(new RegExp(`${mac} +${ip} .*taken +20`));
    await flotilla('machine', 'delete', 'linked', '--yes', '--force');
  });

  it('imports only from below the roots, and from the hosts, that it was started with', async () => {
    const outside = await flotilla('image', 'import', 'outside', '/etc/hostname', '--kind', 'disk', '--format', 'raw');
    expect(outside.status).to.equal(1);
    expect(outside.stderr).to.contain('file.outside_roots').and.to.contain('--import-root');
    const elsewhere = await flotilla('image', 'import', 'outside', 'https://elsewhere.invalid/disk', '--kind', 'disk', '--format', 'raw');
    expect(elsewhere.stderr).to.contain('image.source_refused').and.to.contain('--download-host');
    expect((await flotilla('up', '--import-root', 'a:b')).stderr).to.contain('colon');
  });

  it('prints events as lines of JSON', async () => {
    expect(await firstEvent('--after', '0')).to.include.keys('id', 'kind', 'target');
  });

  it('attaches to a console; what is typed arrives, and ^] leaves', async () => {
    await flotilla('machine', 'create', 'talker', '--kernel', 'kernel', '--memory', '64M', '--network', 'none');
    const console = cloud.spawn(['machine', 'console', 'talker']);
    console.stdin?.write('uname -a\n');
    let seen = '';
    for await (const chunk of console.stdout ?? []) {
      seen += String(chunk);
      if (seen.includes('GNU/Linux')) break;
    }
    console.stdin?.write('\u001d');
    const [status] = (await once(console, 'exit')) as [number];
    expect(status).to.equal(0);
    await flotilla('machine', 'delete', 'talker', '--yes', '--force');
  });

  it('ends with a status for each kind of failure, and says what to try next', async () => {
    const absent = await flotilla('machine', 'show', 'nobody');
    expect(absent.status).to.equal(5);
    expect(absent.stderr).to.match(/machine\.not_found[\s\S]*Next: /);
    expect((await flotilla('--api-key', 'flo_wrong_key', 'machine', 'list')).status).to.equal(4);
    expect((await flotilla('--url', 'http://127.0.0.1:9', 'machine', 'list')).status).to.equal(3);
    expect((await flotilla('machine', 'create')).status).to.equal(2);
    expect((await flotilla('machine', 'delete', 'nobody')).status).to.equal(2);
    const bad = await flotilla('machine', 'create', 'bad', '--kernel', 'kernel', '--cpus', '0');
    expect(bad.status).to.equal(1);
    expect(bad.stderr).to.contain('spec.cpus_out_of_range');
  });
});
