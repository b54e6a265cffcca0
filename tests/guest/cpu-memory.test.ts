// SPDX-License-Identifier: Apache-2.0
import { readFileSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { type HostState, hostState } from './lib/host.js';
import { Run } from './lib/run.js';
import { expectNothingLeft } from './lib/suite.js';

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
    writeFileSync(`${pool}/nr_hugepages`, '0');
    expectNothingLeft(held);
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
    expect(mapped(guest.pid, 'KernelPageSize')).to.equal(2048);
    // All 64 are the machine's, taken or promised.
    expect(number(`${pool}/free_hugepages`) - number(`${pool}/resv_hugepages`)).to.equal(6);
    guest.type('poweroff -f\n');
    expect((await guest.end()).status).to.equal(0);
    expect(number(`${pool}/free_hugepages`)).to.equal(70);
  });
});

/** A line of smaps on the memory of the guest, in KiB. */
function mapped(pid: number, field: string): number | undefined {
  const mappings = readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const memory = mappings.find((text) => new RegExp(`^Size:\\s+${memoryKiB} kB`, 'm').test(text)) ?? '';
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(memory)?.[1]);
}
