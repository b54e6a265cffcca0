// SPDX-License-Identifier: Apache-2.0
import { homedir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';

import { isInstalled, ourFiles, read, run } from './lib.mjs';

const workflows = ourFiles((path) => /^\.github\/.*\.ya?ml$/.test(path));

/** actionlint comes from the Go module proxy; the set-up puts it here. */
function actionlint() {
  const own = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'flotilla', 'tools', 'bin', 'actionlint');
  return [own, 'actionlint'].find(isInstalled);
}

describe('GitHub workflows', () => {
  it('pass actionlint', function () {
    const program = actionlint();
    if (program === undefined) this.skip();
    run(program, ['-color=false']);
  });

  it('pin each action by commit', () => {
    const loose = workflows.flatMap((path) =>
      [...read(path).matchAll(/uses:\s*([^\s#]+)/g)]
        .map(([, action]) => action)
        .filter((action) => !action.startsWith('./') && !/@[0-9a-f]{40}$/.test(action))
        .map((action) => `${path}: ${action}`),
    );
    expect(loose).to.deep.equal([]);
  });

  it('start from empty permissions and give each job a time limit', () => {
    const isWorkflow = (path) => path.startsWith('.github/workflows/');
    for (const path of workflows.filter(isWorkflow)) {
      const text = read(path);
      expect(text, path).to.match(/^permissions: \{\}$/m);
      const jobs = (text.split(/^jobs:$/m)[1] ?? '').match(/^ {2}[\w-]+:$/gm) ?? [];
      const limits = text.match(/^ {4}timeout-minutes:/gm) ?? [];
      expect(limits.length, `${path}: timeout-minutes for each of ${jobs.join(' ')}`).to.equal(jobs.length);
    }
  });
});
