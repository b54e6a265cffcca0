// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { Hypervisor } from './hypervisor/hypervisor.js';
import { type HostParts, LocalHostAgent } from './local-host-agent.js';

describe('The agent of a host', () => {
  it('asks a guest once for all that wait for the same answer', async () => {
    const asked: string[] = [];
    const answers: (() => void)[] = [];
    const wait = <T>(what: string, answer: T) =>
      new Promise<T>((resolve) => {
        asked.push(what);
        answers.push(() => resolve(answer));
      });
    const hypervisor = {
      balloon: (id: string) => wait(`balloon ${id}`, { targetBytes: 0, actualBytes: asked.length }),
      reclaimMemory: (id: string) => wait(`reclaim ${id}`, { releasedBytes: asked.length, complete: true }),
    } as unknown as Hypervisor;
    const agent = new LocalHostAgent({ hypervisor } as HostParts);
    const once = ['balloon a', 'reclaim a', 'balloon b'];
    const ask = () => [agent.machineBalloon({ id: 'a' }), agent.reclaimMemory({ id: 'a' }), agent.machineBalloon({ id: 'b' })];
    const first = [...ask(), ...ask()];
    expect(asked).to.deep.equal(once);
    for (const answer of answers.splice(0)) answer();
    const [one, , , same] = await Promise.all(first);
    expect(one).to.equal(same);
    const again = ask();
    expect(asked, 'who comes later').to.deep.equal([...once, ...once]);
    for (const answer of answers) answer();
    await Promise.all(again);
  });

  it('asks again after a question that failed', async () => {
    const reasons = ['no 1', 'no 2'];
    const left = [...reasons];
    const hypervisor = { balloon: () => Promise.reject(new Error(left.shift())) } as unknown as Hypervisor;
    const agent = new LocalHostAgent({ hypervisor } as HostParts);
    for (const reason of reasons) expect(await agent.machineBalloon({ id: 'a' }).catch((error: Error) => error.message)).to.equal(reason);
  });
});
