// SPDX-License-Identifier: Apache-2.0
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { expect } from 'chai';
import { eventually, type HostState, hostState } from './lib/host.js';
import { mapped } from './lib/memory.js';
import { Run } from './lib/run.js';
import { expectNothingLeft } from './lib/suite.js';
import { waitLimitMs } from './lib/limits.js';

const ksm = '/sys/kernel/mm/ksm';
const pool = '/sys/kernel/mm/hugepages/hugepages-2048kB';
const ready = /flotilla-init ready[\s\S]*# /;
const memoryKiB = 128 * 1024;

const number = (path: string): number => Number(readFileSync(path, 'utf8'));

describe('CPU and memory options, with a real Linux', () => {
  let held: HostState;

  before(() => {
    held = hostState();
  });
  after(() => {
    writeFileSync(`${ksm}/run`, '2');
    writeFileSync(`${pool}/nr_hugepages`, '0');
    expectNothingLeft(held);
  });

  it('shows the guest sockets, cores, nodes and the features of a model, and runs its threads where they are pinned', async () => {
    const numa = ['--numa', 'cpus=0-1,memory=64M', '--numa', 'cpus=2-3,memory=64M,distances=21:10'];
    const cpus = ['--cpus', '4', '--cpu-topology', 'sockets=2,cores=2', '--cpu-model', 'x86-64-v2,-sse4_2'];
    const last = `${availableParallelism() - 1}`;
    const pinned = ['--pin-vcpus', `0/0/0/${last}`, '--pin-io', last];
    const guest = Run.start('', [...cpus, ...numa, ...pinned, '--thp', 'never', '--prefault']);
    await guest.shows(ready);

    const sys = '/sys/devices/system';
    expect(await guest.sh(`cat ${sys}/cpu/cpu[0-3]/topology/physical_package_id | tr "\\n" " "`)).to.equal('0 0 1 1');
    expect(await guest.sh(`cat ${sys}/cpu/cpu[0-3]/topology/core_id | tr "\\n" " "`)).to.equal('0 1 0 1');
    expect(await guest.sh('grep "^apicid" /proc/cpuinfo | tr -dc "0-9\\n" | tr "\\n" " "')).to.equal('0 1 2 3');
    const flags = (await guest.sh('grep -m1 flags /proc/cpuinfo')).split(/\s+/);
    expect(flags).to.include.members(['ssse3', 'sse4_1', 'popcnt', 'cx16', 'lahf_lm']);
    expect(flags).not.to.include.oneOf(['sse4_2', 'avx', 'avx2', 'aes', 'bmi1', 'xsave', 'svm', 'vmx']);
    expect(await guest.sh(`cat ${sys}/node/node[01]/cpulist | tr "\\n" " "`)).to.equal('0-1 2-3');
    expect(await guest.sh(`cat ${sys}/node/node[01]/distance | tr "\\n" ","`)).to.equal('10 20,21 10,');

    expect(allowed(guest.pid, 'vcpu0')).to.equal('0');
    expect(allowed(guest.pid, 'vcpu3')).to.equal(last);
    expect(mapped(guest.pid, memoryKiB, 'Rss')).to.equal(memoryKiB);
    guest.type('poweroff -f\n');
    expect((await guest.end()).status).to.equal(0);
  });

  it('shows a micro machine the same by an MP table, and has no nodes without ACPI', async () => {
    const flags = ['--profile', 'micro', '--cpus', '4', '--cpu-topology', 'sockets=2,cores=2', '--on-reboot', 'stop'];
    const guest = Run.start('', [...flags, '--numa', 'cpus=0-3,memory=128M']);
    expect((await guest.end()).said).to.contain('spec.profile_conflict at $.numa');
    const told = Run.start('', flags);
    await told.shows(ready);
    const topology = '/sys/devices/system/cpu/cpu[0-3]/topology';
    expect(await told.sh(`cat ${topology}/physical_package_id | tr "\\n" " "`)).to.equal('0 0 1 1');
    expect(await told.sh(`cat ${topology}/core_id | tr "\\n" " "`)).to.equal('0 1 0 1');
    told.type('reboot -f\n'); // without ACPI there is no other way to end
    await told.end();
  });

  it('takes huge pages from the pool of the host, and says so when there are too few', async () => {
    const flags = ['--memory-backing', 'hugetlb-2M'];
    const refused = await Run.start('', flags).end();
    expect(refused.said).to.contain('host.no_hugepages at $.memoryOptions.backing');
    expect(refused.status).to.be.greaterThan(0);
    writeFileSync(`${pool}/nr_hugepages`, '70');
    expect(number(`${pool}/nr_hugepages`)).to.equal(70);
    const guest = Run.start('', flags);
    await guest.shows(ready);
    expect(mapped(guest.pid, memoryKiB, 'KernelPageSize')).to.equal(2048);
    // All 64 are the machine's, taken or promised.
    expect(number(`${pool}/free_hugepages`) - number(`${pool}/resv_hugepages`)).to.equal(6);
    guest.type('poweroff -f\n');
    expect((await guest.end()).status).to.equal(0);
    expect(number(`${pool}/free_hugepages`)).to.equal(70);
  });

  it('lets the host merge equal pages of two machines', async () => {
    writeFileSync(`${ksm}/pages_to_scan`, '20000');
    writeFileSync(`${ksm}/sleep_millisecs`, '10');
    const guests = [0, 1].map(() => Run.start('', ['--mergeable', '--thp', 'never']));
    for (const guest of guests) await guest.shows(ready);
    const before = number(`${ksm}/pages_sharing`);
    writeFileSync(`${ksm}/run`, '1');
    await eventually('the host merges pages', waitLimitMs, () => number(`${ksm}/pages_sharing`) > before + 500);
    for (const guest of guests) {
      guest.type('poweroff -f\n');
      expect((await guest.end()).status).to.equal(0);
    }
  });
});

/** The CPUs of the host on which a thread may run. */
function allowed(pid: number, name: string): string | undefined {
  const tasks = readdirSync(`/proc/${pid}/task`).map((task) => readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8'));
  return /^Cpus_allowed_list:\s*(\S+)/m.exec(tasks.find((text) => text.startsWith(`Name:\t${name}\n`)) ?? '')?.[1];
}
