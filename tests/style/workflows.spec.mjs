// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';

import { isInstalled, ourFiles, read, run, skip } from './lib.mjs';
import { toolPath } from '../../scripts/setup/tools.mjs';

const workflows = ourFiles((path) => /^\.github\/.*\.ya?ml$/.test(path));

/** The set-up installs it where there is Go. */
const actionlint = () => [toolPath('actionlint'), 'actionlint'].find(isInstalled);

describe('GitHub workflows', () => {
  it('pass actionlint', function () {
    const program = actionlint();
    if (program === undefined) skip(this, 'actionlint is missing, npm run setup installs it where there is Go');
    run(program, ['-color=false']);
  });

  it('call only scripts that package.json has', () => {
    const { scripts } = JSON.parse(read('package.json'));
    const called = (path) => [...read(path).matchAll(/\bnpm (?:run |(?=test))([\w:-]+)/g)].map(([, name]) => name);
    const missing = workflows.flatMap((path) =>
      called(path)
        .filter((name) => !(name in scripts))
        .map((name) => `${path}: ${name}`),
    );
    expect(missing).to.deep.equal([]);
    const files = Object.values(scripts).flatMap((script) => [...script.matchAll(/node ([\w/-]+\.mjs)/g)].map(([, file]) => file));
    expect(files.filter((file) => ourFiles((path) => path === file).length === 0)).to.deep.equal([]);
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
