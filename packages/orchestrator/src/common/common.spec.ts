// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { ApiError } from './api-error.js';
import { bounded, Coalesced, KeyedQueue, Semaphore, sleep } from './async.js';
import { isId, macFor, newId, shortId } from './ids.js';
import { chooseSubnet, formatIpv4, overlaps, parseIpv4, parseSubnet } from './ipv4.js';
import { isLabels, isUnicastMac, looksLikeId } from './names.js';

describe('ids', () => {
  it('are unique and sort by the order in which they were made', () => {
    const ids = Array.from({ length: 5000 }, () => newId('mac'));
    expect(new Set(ids).size).to.equal(5000);
    expect([...ids].sort()).to.deep.equal(ids);
    expect(ids.every((id) => isId('mac', id))).to.equal(true);
    expect(ids.every(looksLikeId)).to.equal(true);
    expect(['mac', 'mac-1', 'web-01k0000000000000000000000', 'machine-01k00000000000000000000000'].some(looksLikeId)).to.equal(false);
  });

  it('give names of links that fit the kernel and MAC addresses that fit a host', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (machine, name) => {
        expect(`flot-${shortId(machine)}`.length).to.be.below(16);
        const mac = macFor(machine, name);
        expect(isUnicastMac(mac)).to.equal(true);
        expect(Number.parseInt(mac.slice(0, 2), 16) & 2).to.equal(2);
      }),
    );
  });
});

describe('IPv4', () => {
  it('reads what it writes', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (value) => parseIpv4(formatIpv4(value)) === value));
    for (const bad of ['', '1.2.3', '1.2.3.256', '1.2.3.4.5', 'a.b.c.d', '1.2.3.-1']) expect(parseIpv4(bad), bad).to.equal(undefined);
  });

  it('chooses a subnet that clashes with no route', () => {
    expect(chooseSubnet([])).to.equal('10.77.0.0/24');
    expect(chooseSubnet(['10.77.0.128/25', '192.168.0.0/16'])).to.equal('10.77.1.0/24');
    expect(chooseSubnet(['10.77.0.0/16'])).to.equal('10.78.0.0/24');
    expect(chooseSubnet(['10.0.0.0/8'])).to.equal(undefined);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 77, max: 78 }), fc.integer({ min: 0, max: 255 }), fc.integer({ min: 16, max: 32 }))),
        (routes) => {
          const used = routes.map(([second, third, prefix]) => `10.${second}.${third}.0/${prefix}`);
          const chosen = parseSubnet(chooseSubnet(used) ?? '');
          for (const one of used) {
            const subnet = parseSubnet(one);
            if (subnet !== undefined && chosen !== undefined) expect(overlaps(subnet, chosen)).to.equal(false);
          }
        },
      ),
    );
  });
});

describe('waiting in line', () => {
  it('runs the tasks of one key in order and lets other keys pass', async () => {
    const queue = new KeyedQueue();
    const seen: string[] = [];
    await Promise.all([
      queue.run('a', async () => {
        await sleep(20);
        seen.push('a1');
      }),
      queue.run('a', () => {
        seen.push('a2');
        return Promise.resolve();
      }),
      queue.run('b', () => {
        seen.push('b1');
        return Promise.resolve();
      }),
    ]);
    expect(seen).to.deep.equal(['b1', 'a1', 'a2']);
  });

  it('never runs more tasks than there are slots', async () => {
    const slots = new Semaphore(3);
    let running = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 20 }, () =>
        slots.run(async () => {
          running += 1;
          most = Math.max(most, running);
          await sleep(2);
          running -= 1;
        }),
      ),
    );
    expect(most).to.equal(3);
  });

  it('runs once more when asked during a run, and not once for each', async () => {
    let runs = 0;
    const job = new Coalesced(async () => {
      runs += 1;
      await sleep(5);
    });
    await Promise.all(Array.from({ length: 10 }, () => job.trigger()));
    expect(runs).to.equal(2);
  });
});

describe('a job that is closed', () => {
  it('lets the run under way end, whatever its end, and begins no other', async () => {
    let runs = 0;
    let fail: (error: Error) => void = () => undefined;
    const job = new Coalesced(() => {
      runs += 1;
      return new Promise((_resolve, reject) => {
        fail = reject;
      });
    });
    const asked = [job.trigger(), job.trigger()];
    let closed = false;
    const closing = job.close().then(() => {
      closed = true;
    });
    await sleep(5);
    expect(closed, 'closed while it runs').to.equal(false);
    fail(new Error('lost'));
    expect((await Promise.allSettled(asked)).map(({ status }) => status)).to.deep.equal(['rejected', 'rejected']);
    await closing;
    await job.trigger();
    expect(runs).to.equal(1);
  });
});

describe('labels and errors', () => {
  it('take what is documented and nothing else', () => {
    expect([
      isLabels({ team: 'red' }),
      isLabels({ 'a/b.c': '' }),
      isLabels([]),
      isLabels({ 'bad key': 'x' }),
      isLabels({ a: 1 }),
      isLabels({ constructor: 'x' }),
      isLabels({ prototype: 'x' }),
      isLabels(Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`k${i}`, 'v']))),
    ]).to.deep.equal([true, true, false, false, false, false, false, false]);
  });

  it('keep inner texts inside', () => {
    const problem = ApiError.from(new Error('password=secret')).toProblem('req-1');
    expect(problem).to.include({ code: 'internal', status: 500, requestId: 'req-1' });
    expect(JSON.stringify(problem)).not.to.contain('secret');
    expect(ApiError.from(Object.assign(new Error('x'), { code: 'ENOSPC' })).code).to.equal('pool.full');
  });
});

describe('a bounded source', () => {
  it('is paused while too much of it waits, and goes on once it was taken', async () => {
    const seen: string[] = [];
    const waiting: (() => void)[] = [];
    const give = bounded(
      { pause: () => seen.push('pause'), resume: () => seen.push('resume') },
      3,
      () =>
        new Promise((resolve) => {
          waiting.push(resolve);
        }),
    );
    const first = give(Buffer.from('abc'));
    expect(seen).to.deep.equal([]);
    const second = give(Buffer.from('d'));
    expect(seen).to.deep.equal(['pause']);
    for (const resolve of waiting) resolve();
    await Promise.all([first, second]);
    expect(seen.at(-1)).to.equal('resume');
  });
});
