// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { HostAgent } from '../../host-agent/host-agent.js';
import type { MachineRepository } from '../machines/machine.repository.js';
import { renderMachines } from './machine-samples.js';
import { MachineScrape } from './machine-scrape.js';

describe('A look at the metrics of every live machine', () => {
  const calls = new Map<string, number>();
  const hung = new Set<string>();
  let waiting = 0;
  let most = 0;

  const scrapeOf = (ids: readonly string[] | (() => readonly string[]), limits = { each: 50, all: 500 }): MachineScrape => {
    const live = typeof ids === 'function' ? ids : () => ids;
    const machines = {
      inStates: () => Promise.resolve(live().map((id) => ({ id, state: 'running' }))),
      observed: (known: string[]) => Promise.resolve(known.map((id) => ({ id, name: `name-${id}` }))),
    };
    const agent = {
      machineMetrics: async ({ id }: { id: string }) => {
        calls.set(id, (calls.get(id) ?? 0) + 1);
        if (hung.has(id)) return new Promise(() => undefined);
        waiting += 1;
        most = Math.max(most, waiting);
        await Promise.resolve(); // no timer: the answer comes before any limit of time, however slow the host is
        waiting -= 1;
        if (id.startsWith('gone')) throw new Error('worker.gone');
        return { [id === 'liar' ? `disk:d${calls.get(id)}.read_bytes` : 'disk:root.read_bytes']: 1 };
      },
    };
    const scrape = new MachineScrape(machines as unknown as MachineRepository, agent as unknown as HostAgent);
    scrape.limits = limits;
    return scrape;
  };

  beforeEach(() => {
    calls.clear();
    hung.clear();
    most = 0;
  });

  it('asks a thousand workers once each, a few at a time', async () => {
    const ids = Array.from({ length: 1000 }, (_, index) => `m${index}`);
    const { answers, silent } = await scrapeOf(ids, { each: 10_000, all: 20_000 }).run();
    expect([answers.length, silent]).to.deep.equal([1000, 0]);
    expect(answers[0]).to.deep.equal({ machine: 'name-m0', values: { 'disk:root.read_bytes': 1 }, parts: new Set() });
    expect([...calls.values()].every((count) => count === 1)).to.equal(true);
    expect(most).to.be.within(2, 32);
  });

  it('goes on without a worker that hangs, does not ask it again meanwhile, and counts it', async () => {
    hung.add('b');
    const scrape = scrapeOf(['a', 'b', 'gone']);
    scrape.limits = { each: 500, all: 20_000 };
    for (const round of [1, 2]) {
      const { answers, silent } = await scrape.run();
      expect([answers.map(({ machine }) => machine), silent]).to.deep.equal([['name-a'], 2]);
      expect([calls.get('a'), calls.get('b')]).to.deep.equal([round, 1]);
    }
  });

  it('asks the others in time, however many hang', async () => {
    const ids = Array.from({ length: 200 }, (_, index) => `m${index}`);
    for (const id of ids) hung.add(id);
    const scrape = scrapeOf([...ids, 'a'], { each: 20, all: 20_000 });
    await scrape.run();
    scrape.limits = { each: 20_000, all: 20_000 };
    expect((await scrape.run()).answers.map(({ machine }) => machine)).to.deep.equal(['name-a']);
  });

  it('believes a machine no more parts than one can have, however often it is asked, and forgets them when it is gone', async () => {
    let ids = ['liar'];
    const scrape = scrapeOf(() => ids, { each: 10_000, all: 20_000 });
    const told = new Set<string>();
    for (let round = 0; round < 300; round++) {
      for (const line of renderMachines((await scrape.run()).answers).split('\n')) if (line.startsWith('flotilla_')) told.add(line);
    }
    expect(told.size).to.equal(256);
    ids = [];
    await scrape.run();
    ids = ['liar'];
    expect(renderMachines((await scrape.run()).answers)).to.contain('device="disk:d301"');
  });

  it('ends when nobody answers, for each worker or for all of them', async () => {
    const ids = Array.from({ length: 1000 }, (_, index) => `m${index}`);
    for (const id of ids) hung.add(id);
    for (const limits of [
      { each: 10, all: 3_600_000 },
      { each: 3_600_000, all: 200 },
    ]) {
      const { answers, silent } = await scrapeOf(ids, limits).run();
      expect([answers.length, silent]).to.deep.equal([0, 1000]);
    }
  });
});
