// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { pino } from 'pino';
import { sleep } from '../common/async.js';
import { ReconcilerRuns } from './reconciler-runs.service.js';

/** Jobs by the method that asks for each. */
const ASKED = { runMachines: 'machines', runLeases: 'leases', runOrphans: 'orphans', runNetworks: 'networks', runPools: 'pools' } as const;

describe('the runs of the reconcilers', () => {
  for (const [ask, name] of Object.entries(ASKED) as [keyof typeof ASKED, string][]) {
    it(`stop once one of the ${name} that is under way has ended, and begin no more`, async () => {
      const begun: string[] = [];
      let end: () => void = () => undefined;
      const job = (which: string) => ({
        reconcile: () => {
          begun.push(which);
          return new Promise<void>((resolve) => {
            end = resolve;
          });
        },
        prune: () => Promise.resolve(),
        onWake: () => undefined,
      });
      const runs = new ReconcilerRuns(
        job('machines') as never,
        job('leases') as never,
        job('orphans') as never,
        job('networks') as never,
        job('pools') as never,
        job('housekeeping') as never,
        pino({ level: 'silent' }),
      );
      runs[ask]();
      runs[ask]();
      let stopped = false;
      const stopping = runs.stop().then(() => {
        stopped = true;
      });
      await sleep(5);
      expect([begun, stopped]).to.deep.equal([[name], false]);
      end();
      await stopping;
      runs[ask]();
      expect(begun, 'begun after the stop').to.deep.equal([name]);
    });
  }
});
