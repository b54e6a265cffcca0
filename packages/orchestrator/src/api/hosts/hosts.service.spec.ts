// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { useSqlite } from '../../../test/support/spec-database.js';
import type { Database } from '../../database/database.js';
import { HostsService } from './hosts.service.js';

describe('the report of a host', () => {
  let database: Database;
  useSqlite((opened) => {
    database = opened;
  });

  it('is taken once for all who ask at one time, and not anew for who asks right after', async () => {
    let [probes, atOnce, most] = [0, 0, 0];
    const agent = {
      describe: () => Promise.resolve({ name: 'host', cpus: 1, memoryMiB: 1024, kernel: '6', bootId: 'b' }),
      report: async () => {
        probes += 1;
        atOnce += 1;
        most = Math.max(most, atOnce);
        await new Promise((resolve) => setTimeout(resolve, 10));
        atOnce -= 1;
        return { kvm: true, checks: [] };
      },
    };
    const hosts = new HostsService(database, agent as never);
    await Promise.all(Array.from({ length: 60 }, () => hosts.doctor('host')));
    for (let i = 0; i < 10; i += 1) await hosts.doctor('host');
    expect([probes, most]).to.deep.equal([1, 1]);
  });

  it('is taken again after one that failed', async () => {
    let probes = 0;
    const agent = {
      describe: () => Promise.resolve({ name: 'host', cpus: 1, memoryMiB: 1024, kernel: '6', bootId: 'b' }),
      report: () => {
        probes += 1;
        return probes === 1 ? Promise.reject(new Error('no')) : Promise.resolve({ kvm: true, checks: [] });
      },
    };
    const hosts = new HostsService(database, agent as never);
    await hosts.doctor('host').catch(() => undefined);
    await hosts.doctor('host');
    expect(probes).to.equal(2);
  });
});
