// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';

import { isInstalled, ourFiles, read, run, skip, top } from './lib.mjs';
import { workflowLines } from './workflow-lines.mjs';
import { shellLines } from '../runner/workflow-steps.mjs';
import { toolPath } from '../../scripts/setup/tools.mjs';

const workflows = ourFiles((path) => /^\.github\/.*\.ya?ml$/.test(path));

/** The set-up installs it where there is Go. */
const actionlint = () => [toolPath('actionlint'), 'actionlint'].find(isInstalled);

describe('GitHub workflows', () => {
  it('pass actionlint', function () {
    const program = actionlint();
    if (program === undefined) skip(this, 'npm run setup installs actionlint where there is Go', { tool: 'actionlint' });
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

  describe('have shell lines that', () => {
    const lines = [...new Set(workflows.flatMap((path) => shellLines(join(top, path))))];

    it('are those of the table of what shows that they work, no line more and none less', () => {
      expect(lines.sort()).to.deep.equal(Object.keys(workflowLines).sort());
    });

    for (const [line, { test, text, runs, plus, status, says }] of Object.entries(workflowLines)) {
      it(`work: ${line}${plus === undefined ? '' : ` ${plus}`}`, () => {
        expect(bash(['-n', '-c', line])).to.deep.equal({ status: 0, said: '' });
        if (test !== undefined) expect(read(test), `${test} no longer runs it`).to.contain(text);
        if (runs) expect(bash(['-c', `HOME=$GITHUB_WORKSPACE; ${line}`]).status).to.equal(0);
        if (plus === undefined) return;
        const done = bash(['-c', `${line} ${plus}`]);
        expect(done.said).to.match(says);
        expect(done.status, done.said).to.equal(status);
      });
    }

    it('install the versions that the messages of this repository name', () => {
      const installed = lines.filter((line) => line.startsWith('cargo install '));
      const sources = ourFiles((path) => path.endsWith('.mjs')).map(read);
      const named = sources.flatMap((source) => source.match(/cargo install cargo-[a-z]+ --version [\d.]+ --locked/g) ?? []);
      expect(named.filter((line) => !installed.includes(line))).to.deep.equal([]);
    });
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

/** Runs bash in the top folder as the runner does; what goes on although it was to end at once is ended with all it started. */
function bash(words, env = {}) {
  const home = mkdtempSync(join(tmpdir(), 'flotilla-line-'));
  try {
    const runner = { GITHUB_WORKSPACE: home, GITHUB_PATH: join(home, 'path'), npm_config_loglevel: 'silent' };
    const done = spawnSync('timeout', ['60', 'bash', '-eo', 'pipefail', ...words], {
      cwd: top,
      env: { ...process.env, ...runner, ...env },
      encoding: 'utf8',
    });
    return { status: done.status, said: `${done.stdout}${done.stderr}` };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}
