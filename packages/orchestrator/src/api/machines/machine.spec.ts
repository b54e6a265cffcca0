// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import {
  actionAllowed,
  backoffMilliseconds,
  MACHINE_ACTIONS,
  MACHINE_STATES,
  type MachineAction,
  type MachineState,
  mayAct,
  nextDelete,
  type RestartPolicy,
  wantsRestart,
} from './machine.js';
import { reasonOf } from './machine-failure.js';

// creating stopped starting running pausing paused stopping failed deleting unknown
const TABLE: Record<MachineAction, string> = {
  start: '.x.....x..',
  stop: '...x.x...x',
  restart: '...x.x...x',
  kill: '..xxxxxx.x',
  pause: '...x......',
  resume: '.....x....',
  delete: 'xx.....x.x',
};

describe('a machine', () => {
  for (const action of MACHINE_ACTIONS) {
    it(`allows ${action} in exactly the states of the table`, () => {
      const allowed = MACHINE_STATES.map((state: MachineState) => (actionAllowed(action, state) ? 'x' : '.')).join('');
      expect(allowed).to.equal(TABLE[action]);
    });
  }

  it('may be deleted by force in every state but deleting', () => {
    expect(MACHINE_STATES.filter((state) => !actionAllowed('delete', state, true))).to.deep.equal(['deleting']);
  });

  it('can only be deleted again once a delete of it has failed', () => {
    const observed = { state: 'deleting' as const, nextDeleteAt: new Date().toISOString() };
    expect(MACHINE_ACTIONS.filter((action) => mayAct(action, observed))).to.deep.equal(['delete']);
    expect(mayAct('delete', { state: 'deleting' }, true)).to.equal(false);
    expect(mayAct('start', { state: 'stopped' })).to.equal(true);
  });

  it('is deleted again after waits that double, at most five minutes', () => {
    const waits = [1, 2, 3, 4, 9, 10, 1000].map((attempts) => Math.round((Date.parse(nextDelete(attempts)) - Date.now()) / 1000));
    expect(waits).to.deep.equal([1, 2, 4, 8, 256, 300, 300]);
  });

  it('waits twice as long for each attempt, at most five minutes', () => {
    const policy: RestartPolicy = { mode: 'always', maxRetries: 9, backoffSeconds: 2 };
    expect([0, 1, 2, 3, 20, 2000].map((attempt) => backoffMilliseconds(policy, attempt))).to.deep.equal([
      2000, 4000, 8000, 16_000, 300_000, 300_000,
    ]);
  });

  it('restarts as its policy says', () => {
    const policy = (mode: RestartPolicy['mode']): RestartPolicy => ({ mode, maxRetries: 2, backoffSeconds: 1 });
    expect([
      wantsRestart(policy('never'), true, 0),
      wantsRestart(policy('on-failure'), true, 0),
      wantsRestart(policy('on-failure'), false, 0),
      wantsRestart(policy('always'), false, 1),
      wantsRestart(policy('always'), true, 2),
    ]).to.deep.equal([false, true, false, true, false]);
  });

  it('names the cause of its end', () => {
    expect(reasonOf({ reason: 'powered-off', detail: 'x' })).to.deep.include({ failed: false });
    expect(reasonOf({ reason: 'panic', detail: 'x', registers: { rip: '0x1' } }).reason).to.deep.include({
      code: 'guest.panic',
      registers: { rip: '0x1' },
    });
    expect(reasonOf({ reason: 'watchdog', detail: 'x' })).to.deep.include({ failed: true });
    expect(reasonOf({ reason: 'watchdog', detail: 'x' }).reason.code).to.equal('guest.watchdog');
    expect(reasonOf(undefined).reason.code).to.equal('worker.gone');
  });
});
