// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { cached, contentKey } from './cache.mjs';
import { Failure } from './failure.mjs';
import { Steps } from './steps.mjs';

describe('scripts/lib', () => {
  let directory;
  let before;

  beforeEach(() => {
    before = process.env.FLOTILLA_CACHE;
    directory = mkdtempSync(join(tmpdir(), 'flotilla-cache-'));
    process.env.FLOTILLA_CACHE = directory;
  });

  afterEach(() => {
    if (before === undefined) delete process.env.FLOTILLA_CACHE;
    else process.env.FLOTILLA_CACHE = before;
    rmSync(directory, { recursive: true, force: true });
  });

  describe('contentKey', () => {
    it('follows names and contents, not the place', () => {
      for (const name of ['a', 'b']) {
        mkdirSync(join(directory, name));
        writeFileSync(join(directory, name, 'file'), 'text');
      }
      const key = (name) => contentKey(['x'], [join(directory, name)]);
      assert.equal(key('a'), key('b'));
      writeFileSync(join(directory, 'b', 'file'), 'other');
      assert.notEqual(key('a'), key('b'));
      assert.notEqual(contentKey(['x'], []), contentKey(['y'], []));
    });
  });

  describe('cached', () => {
    it('builds once, also when asked twice at the same time', async () => {
      let builds = 0;
      const build = async (partial) => {
        builds += 1;
        await new Promise((resolve) => setTimeout(resolve, 50));
        writeFileSync(join(partial, 'result'), 'done');
      };
      const paths = await Promise.all([cached('kind', '0'.repeat(16), build), cached('kind', '0'.repeat(16), build)]);
      assert.equal(paths[0], paths[1]);
      assert.equal(builds, 1);
      assert.equal(readFileSync(join(paths[0], 'result'), 'utf8'), 'done');
    });

    it('leaves nothing of a failed build and can try again', async () => {
      await assert.rejects(
        cached('kind', '1'.repeat(16), async () => {
          throw new Error('no');
        }),
        /no/,
      );
      assert.equal(existsSync(join(directory, `kind-${'1'.repeat(16)}`)), false);
      await cached('kind', '1'.repeat(16), async () => undefined);
    });

    it('takes over the lock of a process that is gone', async () => {
      writeFileSync(join(directory, `kind-${'2'.repeat(16)}.lock`), '4194999');
      await cached('kind', '2'.repeat(16), async () => undefined);
    });

    it('keeps the two newest generations', async () => {
      for (const digit of ['3', '4', '5']) await cached('kind', digit.repeat(16), async () => undefined);
      const there = ['3', '4', '5'].map((digit) => existsSync(join(directory, `kind-${digit.repeat(16)}`)));
      assert.deepEqual(there.filter(Boolean).length, 2);
      assert.equal(there[2], true);
    });
  });

  describe('Steps', () => {
    it('says what runs, returns the result and remembers the duration', async () => {
      const output = new PassThrough();
      const steps = new Steps('spec', { output });
      assert.equal(await steps.step('Say hello', (step) => step.run('echo', ['hello'])), 'hello\n');
      assert.match(String(output.read()), /• Say hello\n {2}done in \d+\.\d s/);
      assert.match(steps.table(), /Say hello +0\.\d s\n +Total/);
    });

    it('shows the last lines of a step that failed, and where the log is', async () => {
      const output = new PassThrough();
      const steps = new Steps('spec', { output });
      await assert.rejects(
        steps.step('Fail', (step) => step.run('sh', ['-c', 'echo reason >&2; exit 3'])),
        Failure,
      );
      const text = String(output.read());
      assert.match(text, /failed in/);
      assert.match(text, /reason/);
      assert.ok(text.includes(join(directory, 'logs', 'spec.log')));
    });
  });
});
