// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { useSqlite } from '../../test/support/spec-database.js';
import { currentContext, runInContext } from '../common/context.js';
import { type Database, isUniqueViolation } from './database.js';
import { type BatchTarget, GroupCommit, type Part } from './group-commit.js';

describe('group commit', () => {
  let database: Database;
  const put = (key: string, durability?: 'process') =>
    database.write(({ db }) => db.insertInto('meta').values({ key, value: key }).execute(), durability);
  const keys = async () => (await database.db.selectFrom('meta').select('key').orderBy('key').execute()).map((row) => row.key);

  useSqlite((opened) => {
    database = opened;
  });

  it('takes back the one part that fails and keeps the others', async () => {
    const results = await Promise.allSettled([put('a'), put('a'), put('b', 'process'), put('c')]);
    expect(results.map((result) => result.status)).to.deep.equal(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(isUniqueViolation((results[1] as PromiseRejectedResult).reason)).to.equal(true);
    expect(await keys()).to.deep.equal(['a', 'b', 'c']);
  });

  it('runs each part in the context of its caller', async () => {
    const seen = await Promise.all(
      ['one', 'two'].map((requestId) =>
        runInContext({ requestId }, () => database.write(() => Promise.resolve(currentContext()?.requestId))),
      ),
    );
    expect(seen).to.deep.equal(['one', 'two']);
    expect(await database.write(() => Promise.resolve(currentContext()))).to.equal(undefined);
  });

  it('commits what comes together in one transaction, in order, and no more than it may', async () => {
    const target = new Target();
    const commits = new GroupCommit<Part>(target);
    const ran: number[] = [];
    const all = Array.from({ length: 100 }, (_, index) => add(commits, 'disk', () => ran.push(index)));
    target.reachDisk();
    await Promise.all(all);
    await commits.drained();
    expect(target.sizes).to.deep.equal([60, 40]);
    expect(ran).to.deep.equal(Array.from({ length: 100 }, (_, index) => index));
  });

  it('answers who needs the disk when it is there, the others at once', async () => {
    const target = new Target();
    const commits = new GroupCommit<Part>(target);
    let onDisk = false;
    const slow = add(commits, 'disk', () => undefined).then(() => {
      onDisk = true;
    });
    await add(commits, 'process', () => undefined);
    expect([onDisk, target.toldParts]).to.deep.equal([false, 0]);
    target.reachDisk();
    await slow;
    expect([onDisk, target.toldParts]).to.deep.equal([true, 2]);
  });
});

/** A target without a database whose disk waits to be told. */
class Target implements BatchTarget<Part> {
  readonly sizes: number[] = [];
  toldParts = 0;
  reachDisk: () => void = () => undefined;
  private readonly disk = new Promise<void>((resolve) => {
    this.reachDisk = resolve;
  });

  async transaction(parts: readonly Part[], run: (db: never) => Promise<void>): Promise<void> {
    this.sizes.push(parts.length);
    await run({ getExecutor: () => silentExecutor } as never);
  }

  seal(): Promise<void> {
    return Promise.resolve();
  }
  persisted(): Promise<void> {
    return this.disk;
  }
  told(parts: readonly Part[]): void {
    this.toldParts += parts.length;
  }
}

/** Takes the savepoints of shared transactions. */
const silentExecutor = {
  transformQuery: <T>(node: T) => node,
  compileQuery: () => ({}),
  executeQuery: () => Promise.resolve({ rows: [] }),
};

function add(commits: GroupCommit<Part>, durability: 'disk' | 'process', run: () => unknown): Promise<void> {
  return new Promise((resolve, reject) =>
    commits.add({
      durability,
      run: () => {
        run();
        return Promise.resolve();
      },
      succeeded: resolve,
      failed: reject,
    }),
  );
}
