// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { pino } from 'pino';
import { useSqlite } from '../../../test/support/spec-database.js';
import { FaultPoints } from '../../common/fault.js';
import type { Database } from '../../database/database.js';
import type { Operation } from './operation.js';
import type { Step } from './operation-definition.js';
import { KyselyOperationRepository } from './operation.repository.js';
import { OperationRunner } from './operation-runner.js';

/** An operation that restarts a machine, as it is accepted. */
const restart = (id: string, machine: string, more: Partial<Operation> = {}): Operation => ({
  id,
  kind: 'machine.restart',
  target: { kind: 'machine', id: machine },
  state: 'pending',
  phase: 'forward',
  input: {},
  cancelRequested: false,
  createdAt: '',
  requestedBy: 'test',
  steps: [],
  ...more,
});

describe('operation runner', () => {
  let database: Database;
  let repository: KyselyOperationRepository;
  let count = 0;

  useSqlite((opened) => {
    database = opened;
    repository = new KyselyOperationRepository(database);
  });

  /** Runs an operation of these steps to its end, as a start after a crash would when `resumed`. */
  async function run(
    steps: Step[],
    { cancelled = false, resumed = false, finish = () => Promise.resolve() } = {},
  ): Promise<Operation | undefined> {
    const runner = new OperationRunner(repository, database, new FaultPoints(undefined), pino({ level: 'silent' }));
    runner.register({ kind: 'machine.restart', steps: () => steps, finish });
    count += 1;
    const id = `op-${count}`;
    await repository.insert(
      restart(id, `mac-${count}`, { cancelRequested: cancelled, steps: steps.map((step) => ({ name: step.name, state: 'pending' })) }),
    );
    runner.enqueue(id, `mac-${count}`, resumed);
    await runner.waitFor(id, 5000);
    return repository.find(id);
  }

  function step(name: string, log: string[], more: Partial<Step> = {}): Step {
    return {
      name,
      run: () => {
        log.push(name);
        return Promise.resolve();
      },
      undo: () => {
        log.push(`undo ${name}`);
        return Promise.resolve();
      },
      ...more,
    };
  }

  it('takes back what a process before it may have begun, though no record says so', async () => {
    const log: string[] = [];
    const ended = await run([step('one', log), step('two', log)], { cancelled: true, resumed: true });
    expect([ended?.state, ended?.steps.map((one) => one.state), log]).to.deep.equal([
      'cancelled',
      ['undone', 'undone'],
      ['undo two', 'undo one'],
    ]);
  });

  it('takes back nothing of its own that it did not begin', async () => {
    const log: string[] = [];
    const ended = await run([step('one', log), step('two', log)], { cancelled: true });
    expect([ended?.state, ended?.steps.map((one) => one.state), log]).to.deep.equal(['cancelled', ['skipped', 'skipped'], []]);
  });

  it('knows that nothing behind a barrier began before its record', async () => {
    const log: string[] = [];
    const ended = await run([step('one', log), step('two', log, { barrier: true }), step('three', log)], {
      cancelled: true,
      resumed: true,
    });
    expect([ended?.steps.map((one) => one.state), log]).to.deep.equal([['undone', 'skipped', 'skipped'], ['undo one']]);
  });

  it('has the record of a barrier before the step runs, and effects no later than the end', async () => {
    let seen: string | undefined;
    const barrier: Step = {
      name: 'two',
      barrier: true,
      run: async ({ operation }) => {
        seen = (await repository.find(operation.id))?.steps[1]?.state;
      },
    };
    const effect: Step = {
      name: 'three',
      run: ({ also }) => {
        also(({ db }) =>
          db
            .insertInto('meta')
            .values({ key: 'effect', value: '' })
            .execute()
            .then(() => undefined),
        );
        return Promise.resolve();
      },
    };
    const ended = await run([step('one', []), barrier, effect]);
    expect([ended?.state, seen]).to.deep.equal(['succeeded', 'running']);
    expect(await database.db.selectFrom('meta').select('key').where('key', '=', 'effect').execute()).to.have.length(1);
  });

  it('lets other operations go on while many wait aside', async () => {
    const runner = new OperationRunner(repository, database, new FaultPoints(undefined), pino({ level: 'silent' }));
    let open: () => void = () => undefined;
    const guests = new Promise<void>((resolve) => {
      open = resolve;
    });
    const deaf: Step = { name: 'wait', run: ({ aside }) => aside(() => guests) };
    runner.register({
      kind: 'machine.restart',
      steps: (operation) => (operation.target.id === 'mac-quick' ? [step('one', [])] : [deaf]),
      finish: () => Promise.resolve(),
    });
    const targets = [...Array.from({ length: 40 }, (_one, index) => `mac-deaf-${index}`), 'mac-quick'];
    for (const target of targets) {
      await repository.insert(restart(`op-of-${target}`, target));
      runner.enqueue(`op-of-${target}`, target);
    }
    await runner.waitFor('op-of-mac-quick', 5000);
    expect((await repository.find('op-of-mac-quick'))?.state).to.equal('succeeded');
    open();
    for (const target of targets) await runner.waitFor(`op-of-${target}`, 5000);
    expect((await repository.find('op-of-mac-deaf-39'))?.state).to.equal('succeeded');
  });

  it('lets other operations go on while many copy, and gives up a copy that still waits', async () => {
    const runner = new OperationRunner(repository, database, new FaultPoints(undefined), pino({ level: 'silent' }));
    let open: () => void = () => undefined;
    let copies = 0;
    const disk = new Promise<void>((resolve) => {
      open = resolve;
    });
    const copy: Step = {
      name: 'volumes',
      run: ({ copying }) =>
        copying(() => {
          copies += 1;
          return disk;
        }),
    };
    runner.register({
      kind: 'machine.restart',
      steps: (operation) => (operation.target.id === 'mac-killed' ? [step('kill', [])] : [copy]),
      finish: () => Promise.resolve(),
    });
    const targets = [...Array.from({ length: 20 }, (_one, index) => `mac-copied-${index}`), 'mac-killed'];
    for (const target of targets) {
      await repository.insert(restart(`op-of-${target}`, target));
      runner.enqueue(`op-of-${target}`, target);
    }
    await runner.waitFor('op-of-mac-killed', 1500);
    expect((await repository.find('op-of-mac-killed'))?.state).to.equal('succeeded');
    expect(copies, 'copies at once').to.be.within(1, 15);
    runner.cancel('op-of-mac-copied-19');
    await runner.waitFor('op-of-mac-copied-19', 1500);
    expect((await repository.find('op-of-mac-copied-19'))?.state).to.equal('cancelled');
    open();
    for (const target of targets) await runner.waitFor(`op-of-${target}`, 1500);
    expect([(await repository.find('op-of-mac-copied-18'))?.state, copies]).to.deep.equal(['succeeded', 19]);
  });

  it('ends, pauses and resumes machines whatever many others that start are at', async () => {
    const runner = new OperationRunner(repository, database, new FaultPoints(undefined), pino({ level: 'silent' }));
    let boots = 0;
    let open: () => void = () => undefined;
    const guests = new Promise<void>((resolve) => {
      open = resolve;
    });
    const boot: Step = {
      name: 'boot',
      run: () => {
        boots += 1;
        return guests;
      },
    };
    const finish = () => Promise.resolve();
    runner.register({ kind: 'machine.start', steps: () => [boot], finish });
    const starts = Array.from({ length: 40 }, (_one, index) => `mac-starts-${index}`);
    const begin = async (kind: Operation['kind'], machine: string) => {
      await repository.insert(restart(`op-of-${machine}`, machine, { kind }));
      runner.enqueue(`op-of-${machine}`, machine);
    };
    for (const machine of starts) await begin('machine.start', machine);
    for (const kind of ['machine.kill', 'machine.stop', 'machine.delete', 'machine.pause', 'machine.resume'] as const) {
      runner.register({ kind, steps: () => [step('act', [])], finish });
      await begin(kind, `mac-${kind}`);
      await runner.waitFor(`op-of-mac-${kind}`, 1500);
      expect((await repository.find(`op-of-mac-${kind}`))?.state, kind).to.equal('succeeded');
    }
    expect(boots, 'starts at once').to.equal(16);
    open();
    for (const machine of starts) await runner.waitFor(`op-of-${machine}`, 1500);
    expect(boots).to.equal(40);
  });

  for (const failing of ['succeeded', 'undo'] as const) {
    it(`goes on by itself when the record of ${failing === 'undo' ? 'a failure' : 'the end'} cannot be written for a while`, async () => {
      const log: string[] = [];
      let failures = 2;
      const save = repository.save.bind(repository);
      repository.save = (operation, db) => {
        if ((operation.state !== failing && operation.phase !== failing) || failures === 0) return save(operation, db);
        failures -= 1;
        return Promise.reject(new Error('connection lost'));
      };
      try {
        const fails = step('two', log, { run: () => Promise.reject(new Error('as planned')) });
        const ended = await run([step('one', log), ...(failing === 'undo' ? [fails] : [])]);
        expect([ended?.state, failures]).to.deep.equal([failing === 'undo' ? 'failed' : 'succeeded', 0]);
        expect(log.at(-1)).to.equal(failing === 'undo' ? 'undo one' : 'one');
      } finally {
        repository.save = save;
      }
    });
  }

  it('begins an operation once, and keeps the cancel of the first', async () => {
    const runner = new OperationRunner(repository, database, new FaultPoints(undefined), pino({ level: 'silent' }));
    let runs = 0;
    const forever: Step = {
      name: 'wait',
      run: ({ signal }) => {
        runs += 1;
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(new Error('ended')));
        });
      },
    };
    runner.register({ kind: 'machine.restart', steps: () => [forever], finish: () => Promise.resolve() });
    await repository.insert(restart('op-twice', 'mac-twice'));
    runner.enqueue('op-twice', 'mac-twice');
    while (runs === 0)
      await new Promise((resolve) => {
        setTimeout(resolve, 5);
      });
    runner.enqueue('op-twice', 'mac-twice', true);
    runner.cancel('op-twice');
    await runner.waitFor('op-twice', 5000);
    expect([(await repository.find('op-twice'))?.state, runs]).to.deep.equal(['cancelled', 1]);
  });

  it('has clients wait for what is interrupted before it goes on', async () => {
    const runner = new OperationRunner(repository, database, new FaultPoints(undefined), pino({ level: 'silent' }));
    runner.register({ kind: 'machine.restart', steps: () => [step('one', [])], finish: () => Promise.resolve() });
    await repository.insert(restart('op-later', 'mac-later', { state: 'running' }));
    runner.expect('op-later');
    const waited = runner.waitFor('op-later', 5000).then(() => repository.find('op-later'));
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
    runner.enqueue('op-later', 'mac-later', true);
    expect((await waited)?.state).to.equal('succeeded');
  });

  it('records no end before the effects of the end, also with a write behind under way', async () => {
    const order: string[] = [];
    const save = repository.save.bind(repository);
    repository.save = (operation, db) => {
      order.push(operation.state);
      return save(operation, db);
    };
    try {
      await run([step('one', []), step('two', [])], {
        finish: () => {
          order.push('finish');
          return Promise.resolve();
        },
      });
    } finally {
      repository.save = save;
    }
    expect(order.indexOf('finish')).to.be.within(0, order.indexOf('succeeded'));
  });
});
