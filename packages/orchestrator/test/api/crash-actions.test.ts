// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { machine, Orchestrator } from '../support/orchestrator.js';

/** At this one what goes on with an operation dies as well. */
const ACCEPT = 'operation.accept';
const POWER_OFF = ['power-button', 'wait', 'kill', 'release'];
const LAUNCH = ['network', 'taps', 'worker', 'boot', 'observe'];
/** Steps of each action, and the state it ends in. */
const ACTIONS = {
  start: { steps: LAUNCH, state: 'running' },
  pause: { steps: ['pause'], state: 'paused' },
  resume: { steps: ['resume'], state: 'running' },
  restart: { steps: [...POWER_OFF, ...LAUNCH], state: 'running' },
  stop: { steps: POWER_OFF, state: 'stopped' },
  kill: { steps: ['kill', 'release'], state: 'stopped' },
} as const;
type Action = keyof typeof ACTIONS;
/** Each action finds the machine as the one before has left it. */
const CYCLE: readonly Action[] = ['start', 'pause', 'resume', 'restart', 'stop', 'start', 'kill'];

/** What the host holds of a machine in a state, beside the console log of its guests before. */
const HELD: Record<string, string[]> = {
  running: ['machines', 'networks', 'taps', 'vol'],
  paused: ['machines', 'networks', 'taps', 'vol'],
  stopped: ['networks', 'vol'],
};

/** A restart is a stop and a start, which have the begin of each step. */
const WITHOUT_BEGINS = 'machine.restart';

function faultPoints(kind: string, steps: readonly string[]): string[] {
  return [
    ACCEPT,
    ...steps.flatMap((step) => [...(kind === WITHOUT_BEGINS ? [] : [`${kind}.${step}.begin`]), `${kind}.${step}`]),
    `${kind}.end`,
  ];
}

interface Trial {
  action: Action;
  /** Where the process dies; absent: it does not. */
  point?: string;
}

/**
 * Every action with every one of its fault points, so mixed that two of one action seldom follow each other: then the process that goes
 * on after one death can be the one that dies next.
 */
function trials(): Trial[] {
  const left = new Map(CYCLE.map((action) => [action, faultPoints(`machine.${action}`, ACTIONS[action].steps)]));
  const all: Trial[] = [];
  while ([...left.values()].some((points) => points.length > 0)) {
    for (const action of CYCLE) {
      const point = left.get(action)?.shift();
      all.push(point === undefined ? { action } : { action, point });
    }
  }
  return all;
}

describe('kill -9 at every step of an action', () => {
  let flotilla: Orchestrator;

  beforeEach(async () => {
    flotilla = await new Orchestrator().start();
    await flotilla.importImages();
  });
  afterEach(() => flotilla.dispose());

  it('on a machine: the next orchestrator brings it where it was to go, and nothing is doubled or left', async function () {
    this.timeout(300_000);
    await flotilla.change('POST', '/v1/machines', machine('m', { start: false }));
    const all = trials();
    await arm(all[0]);
    for (const [index, { action, point }] of all.entries()) {
      const path = `/v1/machines/m/${action}`;
      const body = action === 'stop' || action === 'restart' ? { timeoutSeconds: 1 } : {}; // a fake guest forgets its button with its process
      if (point === undefined) {
        await flotilla.change('POST', path, body);
      } else {
        await flotilla.call('POST', path, { body }).catch(() => undefined);
        await flotilla.died();
        const next = all.slice(index + 1).find((trial) => trial.point !== undefined);
        const again = next?.action === action || next?.point === ACCEPT; // the one that goes on would die there too early
        await flotilla.start(next === undefined || again ? {} : { FLOTILLA_FAULT: String(next.point) });
        await expectDone(action, `${action} after ${point}`);
        if (again) await arm(next);
      }
    }
    await flotilla.change('DELETE', '/v1/machines/m?force=true');
    await flotilla.waitFor('nothing is left', async () => flotilla.leftovers().length === 0);
  });

  it('of an import: the image is whole, and no half of it is left', async function () {
    this.timeout(60_000);
    const path = join(flotilla.directory, 'source');
    const content = Buffer.alloc(3_000_000, 5);
    writeFileSync(path, content);
    for (const point of faultPoints('image.import', ['copy'])) {
      await flotilla.stop();
      await flotilla.start({ FLOTILLA_FAULT: point });
      await flotilla
        .call('POST', '/v1/images', { body: { name: 'victim', kind: 'disk', format: 'raw', source: { path } } })
        .catch(() => undefined);
      await flotilla.died();
      await flotilla.start();
      await flotilla.waitFor(`the end of what was interrupted at ${point}`, async () => (await openOperations()) === 0);
      expect((await flotilla.call('GET', '/v1/images/victim')).body, point).to.include({ state: 'ready', sizeBytes: content.length });
      expect(flotilla.leftovers(), point).to.deep.equal([]);
      await flotilla.change('DELETE', '/v1/images/victim');
    }
  });

  async function arm(trial: Trial | undefined): Promise<void> {
    await flotilla.stop();
    await flotilla.start({ FLOTILLA_FAULT: String(trial?.point) });
  }

  async function expectDone(action: Action, what: string): Promise<void> {
    await flotilla.waitFor(`the end of ${what}`, async () => (await openOperations()) === 0);
    const { state } = ACTIONS[action];
    const { body } = await flotilla.call('GET', '/v1/machines/m');
    expect(body['observed']?.['state'], what).to.equal(state);
    expect(body['observed']?.['generation'], what).to.equal(body['generation']);
    const held = flotilla.leftovers().filter((name) => !name.startsWith('mac-'));
    expect(held.map((name) => name.split(/[/-]/)[0]).sort(), what).to.deep.equal(HELD[state]);
  }

  /** How many operations are open; in this order: one that leaves the first list is in the second. */
  async function openOperations(): Promise<number> {
    let count = 0;
    for (const state of ['pending', 'running']) {
      const { status, body } = await flotilla.call('GET', `/v1/operations?state=${state}`);
      count += status === 200 ? [...(body['items'] ?? [])].length : 1;
    }
    return count;
  }
});
